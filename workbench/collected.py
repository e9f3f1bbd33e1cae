"""The list of latents, meta-latents and edits that a person collects: adding, opening, files."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.explorer import list_contents
from metasae.explorer.lists import EDIT, LATENT, LONGEST_NAME, MOST, Entry, Listed
from metasae.lab.lab import Lab
from metasae.sources.presets import EMBEDDED
from metasae.steering.link import steer_query
from workbench import session, shared
from workbench.files import download, take_in
from workbench.navigation import LATENTS, METAS, STEER, go, go_to_view
from workbench.state import View
from workbench.text import plain


def latent(lab: Lab, number: int, width: int) -> Entry:
    """A latent as an entry."""
    return Entry.of({"latent": str(number), "width": str(width)} | _preset(lab))


def meta_latent(lab: Lab, number: int) -> Entry:
    """A meta-latent as an entry."""
    return Entry.of({"meta": str(number)} | _preset(lab))


def this_edit() -> Entry:
    """The session's edit with its setting as an entry."""
    view = session.view()
    return Entry.of(steer_query(edit=view.edit, **vars(view.setting)))


def _preset(lab: Lab) -> dict[str, str]:
    opened = lab.preset.opened
    return {} if opened == EMBEDDED.opened else {"preset": str(opened)}


def _change(listed: Listed) -> None:
    session.change(replace(session.view(), listed=listed))


def add(entry: Entry, what: str) -> None:
    """A button that puts something into the list.

    Args:
        what: of the kind there is one button a page.
    """
    listed = session.view().listed
    there = entry in listed.entries

    def added() -> None:
        try:
            _change(session.view().listed.with_entry(entry))
        except UserError as error:
            session.notify(str(error))

    name = "this edit" if what == "edit" else "it"
    st.button(
        "In your list" if there else "Add to list",
        key=f"collect-{what}",
        icon=":material/playlist_add_check:" if there else ":material/playlist_add:",
        disabled=there,
        on_click=added,
        help=f"Puts {name} into a list that is in the link: share it, name it, download it.",
    )


def below(lab: Lab) -> None:
    """The list at the end of a page, once there is one."""
    if session.view().listed.entries:
        st.divider()
        the_list(lab)


def the_list(lab: Lab) -> None:
    """What was collected: its name, its entries, which open what they are about, and files."""
    listed = session.view().listed
    # Its name stands inside: under another label it would be another expander, and closed.
    with st.expander("Your list", key="collected", on_change="rerun"):
        if not st.session_state.get("collected", False):
            return
        if listed.entries:
            _entries(lab, listed)
        else:
            st.caption(
                "Nothing is in it yet. “Add to list” stands here, and on every latent's and "
                "meta-latent's page."
            )
        take_in(
            "Load a list's JSON",
            "list-upload",
            lambda content: _change(Listed.from_json(content)),
        )


def _entries(lab: Lab, listed: Listed) -> None:
    named = "list-name"

    def renamed(name: str) -> None:
        _change(replace(session.view().listed, name=name))

    st.text_input(
        "Name of the list", key=named, max_chars=LONGEST_NAME, placeholder="Your list",
        on_change=session.shows(named, lambda view: view.listed.name, renamed),
    )  # fmt: skip
    st.caption(
        f"{len(listed.entries)} of {MOST} entries at most. The address bar holds the list: copy it "
        "to share it."
    )
    for number, entry in enumerate(listed.entries):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                plain(called(lab, entry)),
                key=f"entry-{number}",
                type="tertiary",
                on_click=_open,
                args=(entry,),
                width="stretch",
            )
            st.button(
                "Take out", key=f"take-out-{number}", icon=":material/close:", type="tertiary",
                on_click=lambda gone: _change(session.view().listed.without(gone)), args=(entry,),
            )  # fmt: skip
    with st.container(horizontal=True):
        file = "-".join(listed.name.split()) or "list"
        download("CSV", lambda: listed.as_csv(lambda one: called(lab, one)), f"{file}.csv",
                 "text/csv", "list-csv")  # fmt: skip
        download("JSON", lambda: listed.to_json(lambda one: called(lab, one)), f"{file}.json",
                 "application/json", "list-json")  # fmt: skip
        st.button("Empty the list", key="list-empty", on_click=_change, args=(Listed(),))


def called(lab: Lab, entry: Entry) -> str:
    """What an entry is called; by its number alone where another preset is open."""
    mine = entry.preset == lab.preset.opened
    return list_contents.called(entry, shared.get_explorer(lab) if mine else None)


def _open(entry: Entry) -> None:
    """Go to what an entry is about (in a widget's callback); the list comes along."""
    listed = session.view().listed
    if entry.kind == EDIT:
        session.change(replace(View.from_query(entry.query), listed=listed))
        go_to_view(STEER)
        return
    if entry.preset != session.view().setting.preset:
        session.change_setting(preset=entry.preset)
    place = {name: value for name, value in entry.place if name in ("latent", "meta", "width")}
    go(LATENTS if entry.kind == LATENT else METAS, **place)
