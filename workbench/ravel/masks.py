"""The masks a run has learned, in words: the most telling edits, each mask, saving it for Steer."""

from dataclasses import replace
from functools import partial

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel.masks import Mask, masks_of, saved
from metasae.ravel.words import RULE, LearnedEdits, learned_edits
from metasae.sources.files import json_text
from metasae.studies.result_folder import StoredFinding
from metasae.studies.runs import Run
from workbench import session, visitor
from workbench.allowed import Right
from workbench.files import download
from workbench.frame import failed
from workbench.ravel.cities import open_in_steer
from workbench.shared import meta_titles
from workbench.text import escape, plain


def learned_masks(lab: Lab, run: Run, found: StoredFinding) -> None:
    """The edits that tell most, then one mask at a time with a name to save it under."""
    masks = masks_of(found, run.identity)
    learned = learned_edits(found.tables["masks"], found.tables["triples"])
    if not masks:
        st.caption("This run learned no mask over the open meta-SAE's meta-latents.")
        return
    _telling(found, learned)
    mask = masks[
        st.selectbox(
            "Mask", range(len(masks)), format_func=lambda at: masks[at].name,
            key=f"mask-{run.identity}", width=320,
        )
    ]  # fmt: skip
    st.markdown(f"{escape(mask.sentence)}.")
    try:
        mask.check_opened(lab)
    except UserError as error:
        failed(error)
    else:
        for one in learned.masks:
            if (one.method, one.attribute) == (mask.method, mask.attribute):
                st.markdown(escape(one.text(meta_titles(lab))))
    name = f"mask-name-{run.identity}-{mask.method}-{mask.attribute}"
    saving = visitor.may_or_said(Right.SAVING)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if saving:
            st.text_input("Save it as", mask.name, key=name, max_chars=60, width=260)
            st.button(
                "Save for Steer", type="primary", key="save-mask", on_click=_save, args=(mask, name)
            )
        download(
            "JSON", partial(json_text, mask.to_dict()), f"mask-{mask.name}.json",
            "application/json", "mask-json",
        )  # fmt: skip
    kept = ", ".join(f"“{one.name}”" for one in saved())
    if kept:
        st.caption(f"Saved so far: {escape(kept)}. They are on Steer under “Masks”.")


def _telling(found: StoredFinding, learned: LearnedEdits) -> None:
    """The edits that tell most, each with a way to Steer."""
    if not learned.telling:
        st.caption("No learned mask moved an answer it is for.")
        return
    for number, one in enumerate(learned.telling):
        st.markdown(escape(f"{one.text} ({one.method})"))
        st.button(
            "Open in Steer", key=f"telling-{number}", icon=":material/open_in_new:",
            help=plain(f"{one.source} towards {one.target}, for its {one.attribute}"),
            on_click=open_in_steer, args=(found.made["preset"], one.triple),
        )  # fmt: skip
    st.caption(f"Those that tell most, by {RULE}.")


@visitor.needs(Right.SAVING)
def _save(mask: Mask, key: str) -> None:
    """Save a mask under the name that stands beside it (in a widget's callback)."""
    named = replace(mask, name=" ".join(st.session_state[key].split()))
    before = {one.name: one for one in saved()}
    try:
        named.save()
    except UserError as error:
        session.notify(str(error))
        return
    instead = before.get(named.name, named) != named
    session.notify(
        f"Saved as “{named.name}”" + (", in the place of another." if instead else ".")
        + " On Steer, under “Masks”, it ticks the pieces of any pair.",
        wrong=False,
    )  # fmt: skip
