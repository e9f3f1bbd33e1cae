"""What all edits of a view have in common, as switches; on Steer and on Enumerate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.steering.conditions import LONGEST
from metasae.steering.edits import Edit
from workbench import session

_POSITIONS = {"last": "last token of the name", "all": "every position"}

_NO_SWAP = (
    "The latent swap is off: it exchanges whole latents, and × 100 multiplies single "
    "meta-directions. Tick or untick some, or press “Latent swap” again."
)


def edit_options(edit: Edit) -> None:
    """What all edits of a view have in common."""
    with st.container():
        hundredfold = "option-hundredfold"
        st.toggle(
            "Each meta-direction × 100",
            key=hundredfold,
            help="Adds or takes away 100 times the unit meta-direction instead of the "
            "meta-latent's own activation, as the script published with meta-SAEs does. It nearly "
            "erases the latent.",
            on_change=session.shows(
                hundredfold, lambda view: view.edit.kind == "hundredfold", _multiply
            ),
        )
        if edit.kind == "swap":
            st.caption("A latent swap has no meta-directions: × 100 takes it back.")
        _switch(
            "keep_residual",
            "Keep the meta-SAE's residual",
            "What the meta-latents don't explain of the direction stays in. Off: the faithful "
            "reconstruction from meta-latents alone.",
        )
        _switch(
            "keep_error",
            "Keep the SAE's error",
            "What the SAE doesn't explain of the residual stream stays in.",
        )
        position = "option-position"
        st.radio(
            "Edit at",
            list(_POSITIONS),
            format_func=lambda position: _POSITIONS[position],
            key=position,
            on_change=_shows_option(position, "position"),
        )
        _condition(edit)


def _condition(edit: Edit) -> None:
    """Where of those the edit is made: where its latent fires enough, after a token."""

    def shows(key: str, name: str) -> Callable[[], None]:
        def chosen(value: Any) -> None:
            try:
                changed = replace(session.view().edit.options.when, **{name: value})
            except UserError as error:
                session.notify(str(error))
                return
            session.change_edit(session.view().edit.with_options(when=changed))

        return session.shows(key, lambda view: getattr(view.edit.options.when, name), chosen)

    above, after, including = "option-above", "option-after", "option-including"
    st.number_input(
        "Only where its latent fires above",
        min_value=0.0,
        step=0.5,
        placeholder="wherever",
        key=above,
        on_change=shows(above, "above"),
        help="The activation one of the source's latents needs on a token for the edit to be made "
        "there. The tab “Latents used” shows it token by token.",
    )
    st.text_input(
        "Only after",
        placeholder="a token, such as: city",
        max_chars=LONGEST,
        key=after,
        on_change=shows(after, "after"),
        help="The edit waits until this has been read: a token, or several in a row.",
    )
    if edit.options.when.after:
        st.toggle("That token, too", key=including, on_change=shows(including, "including"))


def _switch(name: str, label: str, note: str) -> None:
    key = f"option-{name}"
    st.toggle(label, key=key, help=note, on_change=_shows_option(key, name))


def _shows_option(key: str, name: str) -> Callable[[], None]:
    """A widget that shows one of the edit's options."""

    def chosen(value: object) -> None:
        session.change_edit(session.view().edit.with_options(**{name: value}))

    return session.shows(key, lambda view: getattr(view.edit.options, name), chosen)


def _multiply(on: bool) -> None:
    now = session.view().edit
    if now.kind == "swap":
        session.notify(_NO_SWAP, wrong=False)
    edit = now.without_swap()
    session.change_edit(edit.with_options(variant="hundredfold" if on else "faithful"))
