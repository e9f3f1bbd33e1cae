"""Saved masks: which pieces of the pair each would exchange, ticking them, files of them."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.ravel import masks
from metasae.ravel.masks import Mask
from metasae.sources.files import json_text
from metasae.steering.edit_space import Piece
from metasae.steering.experiment import Experiment
from workbench import session, visitor
from workbench.allowed import Right
from workbench.files import download
from workbench.text import escape, plain

_OPEN, _UPLOAD = "masks-open", "mask-upload"


def mask_menu(lab: Lab, experiment: Experiment) -> None:
    """A menu of the saved masks; nothing of it is read until it is opened."""
    menu = st.popover("Masks", icon=":material/layers:", key=_OPEN, on_change="rerun")
    if not menu.open:
        return
    with menu:
        st.markdown(
            "A mask was learned on the RAVEL page from other cities: it says in which pieces a "
            "fact is. Press one, and what it has of these two is exchanged; another adds to it."
        )
        kept = masks.saved()
        for mask in kept:
            _mask(lab, experiment, mask)
        if not kept:
            st.caption("None is saved here yet.")
        if visitor.may_or_said(Right.UPLOADS) and visitor.may_or_said(Right.SAVING):
            st.file_uploader("Load a mask's JSON", "json", key=_UPLOAD, on_change=_uploaded)


def _mask(lab: Lab, experiment: Experiment, mask: Mask) -> None:
    own = [piece for piece in experiment.pieces if piece.meta in mask.pieces]
    counts = [sum(piece.side == side for piece in own) for side in ("source", "target")]
    about = (
        f"{mask.sentence}. Here it takes {counts[0]} of {experiment.source.label}'s own out and "
        f"{counts[1]} of {experiment.target.label}'s own in."
    )
    try:
        mask.check_opened(lab)
    except UserError as error:
        about = str(error)
        fits = False
    else:
        fits = any(counts)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            plain(mask.name), key=f"mask-{mask.name}", disabled=not fits, on_click=_tick,
            args=(experiment.pieces, mask),
        )  # fmt: skip
        download(
            "JSON", partial(json_text, mask.to_dict()), f"mask-{mask.name}.json",
            "application/json", f"mask-file-{mask.name}",
        )  # fmt: skip
        if visitor.may(Right.SAVING):
            st.button(
                "Delete", icon=":material/delete:", key=f"mask-delete-{mask.name}", type="tertiary",
                help=plain(f"Delete the mask {mask.name}; its JSON brings it back"),
                on_click=_forget, args=(mask,),
            )  # fmt: skip
    st.caption(escape(about))


def _tick(pieces: Sequence[Piece], mask: Mask) -> None:
    """Add a mask's changes to the session's edit (in a widget's callback)."""
    now = session.view().edit
    try:
        session.change_edit(mask.added_to(now, pieces))
    except UserError as error:
        session.notify(str(error))


@visitor.needs(Right.SAVING)
def _forget(mask: Mask) -> None:
    try:
        masks.forget(mask.name)
    except UserError as error:
        session.notify(str(error))


@visitor.needs(Right.UPLOADS, Right.SAVING)
def _uploaded() -> None:
    """Keep the mask of a file (in the uploader's callback)."""
    file = st.session_state[_UPLOAD]
    if file is None:
        return
    try:
        mask = masks.from_text(file.getvalue(), file.name)
        mask.save()
    except UserError as error:
        session.notify(str(error))
    else:
        session.notify(f"Saved the mask “{mask.name}”.", wrong=False)
