"""The widgets that change an edit as a whole: actions, best edits, options."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search.patterns import FoundEdit
from metasae.steering.edits import NO_EDIT, Edit, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.setting import Setting
from workbench import session
from workbench.edit_options import edit_options
from workbench.frame import failed
from workbench.state import View
from workbench.steer import experiments
from workbench.steer.masks import mask_menu
from workbench.text import escape, joined

OPTIONS = "options-open"
"""Session key: whether the options are unfolded."""

_BEST, _PICKED, _BEST_BEFORE = "best-edits", "best-pick", "best-edits-before"


def action_bar(lab: Lab, experiment: Experiment, edit: Edit) -> None:
    """One-click edits, saved masks, undo and redo, pin, options."""
    steps = session.history()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="action-bar"):
        st.button(
            "Latent swap",
            key="swap",
            type="primary" if edit.kind == "swap" else "secondary",
            help=f"Set {escape(experiment.source.label)}'s latents to 0 and "
            f"{escape(experiment.target.label)}'s to their usual activation, whole.",
            on_click=lambda: session.change_edit(LatentSwap(options=_no_change().options)),
        )
        st.toggle("Best edits", key=_BEST, help="Search all combinations of their meta-latents")
        mask_menu(lab, experiment)
        st.button(
            "Reset",
            key="reset",
            disabled=edit == NO_EDIT,
            on_click=session.change_edit,
            args=(NO_EDIT,),
        )
        st.button(
            "Undo", icon=":material/undo:", key="undo", disabled=not steps.past,
            on_click=session.undo,
        )  # fmt: skip
        st.button(
            "Redo", icon=":material/redo:", key="redo", disabled=not steps.future,
            on_click=session.redo,
        )  # fmt: skip
        _pin()
        _options(edit)


def _no_change() -> Edit:
    """No change, under the options chosen."""
    return session.view().edit.without_swap().without_strengths()


def best_edits(setting: Setting, experiment: Experiment, edit: Edit) -> None:
    """A row of edits to step through, one for each thing that can be moved, when asked for."""
    if not st.session_state.get(_BEST):
        return
    about = setting.without_question()
    try:
        best = experiments.best_edits.shown(about, edit.options.of_source)
    except UserError as error:
        failed(error)
        return
    if best is None:
        # Those of the options before stay readable.
        whose, earlier = st.session_state.get(_BEST_BEFORE, (None, []))
        if earlier and whose == about:
            st.pills("Found under the options before", earlier, disabled=True, key="best-before")
        return
    edits = {_moves(one): one for one in best if any(one.pattern.values())}
    own = sum(piece.side != "shared" for piece in experiment.pieces)
    if not edits:
        st.markdown(
            f"None of the {2**own} combinations of their own meta-latents moves an answer to "
            f"{escape(experiment.target.label)}'s. Try the latent swap."
        )
        return

    st.session_state[_BEST_BEFORE] = about, list(edits)

    def of(view: View) -> str | None:
        return next((label for label, best in edits.items() if best.edit == view.edit), None)

    def picked(label: str | None) -> None:
        if label:
            session.change_edit(edits[label].edit)

    st.pills(
        f"What {2**own} combinations of their own meta-latents can move among the candidates, each "
        "by its clearest edit",
        list(edits),
        key=_PICKED,
        on_change=session.shows(_PICKED, of, picked, pair=True),
    )


def _moves(best: FoundEdit) -> str:
    moved = [name for name, did in best.pattern.items() if did]
    if len(moved) == len(best.pattern):
        return "everything"
    return joined(moved) + (" only" if len(moved) == 1 else "")


def _pin() -> None:
    pinned = session.view().pinned
    st.button(
        "Pin" if pinned is None else "Unpin",
        key="pin",
        icon=":material/keep:" if pinned is None else ":material/keep_off:",
        help="Keep this edit beside the next one" if pinned is None else "One edit again",
        on_click=lambda: session.change(
            replace(session.view(), pinned=session.view().edit if pinned is None else None)
        ),
    )


def _options(edit: Edit) -> None:
    menu = st.popover("Options", icon=":material/tune:", key=OPTIONS, on_change="rerun")
    if menu.open:
        with menu:
            edit_options(edit)
