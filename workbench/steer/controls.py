"""The widgets that change an edit: actions, best edits, options, the meta-latents' boxes."""

from dataclasses import replace

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.meta_cards import MetaCard
from metasae.search.patterns import FoundEdit
from metasae.steering.edit_space import Piece
from metasae.steering.edits import MAX_STRENGTH, NO_EDIT, Edit, LatentSwap
from metasae.steering.experiment import Experiment
from workbench import session, shared
from workbench.edit_options import edit_options
from workbench.frame import failed
from workbench.state import Setting
from workbench.steer import experiments
from workbench.steer.boxes import shown_strength, with_strength
from workbench.text import escape, joined, shorten

_BEST, _BEST_BEFORE = "best-edits", "best-edits-before"


def action_bar(experiment: Experiment, edit: Edit) -> None:
    """One-click edits, undo and redo, pin, options."""
    steps = session.history()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Latent swap",
            key="swap",
            type="primary" if edit.kind == "swap" else "secondary",
            help=f"Set {escape(experiment.source.label)}'s latents to 0 and "
            f"{escape(experiment.target.label)}'s to their usual activation, whole.",
            on_click=lambda: session.change_edit(LatentSwap(options=_no_change().options)),
        )
        st.toggle("Best edits", key=_BEST, help="Search all combinations of their meta-latents")
        st.button(
            "Reset",
            key="reset",
            disabled=edit == NO_EDIT,
            on_click=session.change_edit,
            args=(NO_EDIT,),
        )
        st.button(
            "", icon=":material/undo:", key="undo", help="Undo", disabled=not steps.past,
            on_click=session.undo,
        )  # fmt: skip
        st.button(
            "", icon=":material/redo:", key="redo", help="Redo", disabled=not steps.future,
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
    try:
        best = experiments.best_edits.shown(setting, edit.options)
    except UserError as error:
        failed(error)
        return
    if best is None:
        # Those of the options before stay readable.
        if earlier := st.session_state.get(_BEST_BEFORE):
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

    st.session_state[_BEST_BEFORE] = list(edits)

    def picked() -> None:
        if label := st.session_state["best-pick"]:
            session.change_edit(edits[label].edit)

    st.session_state["best-pick"] = next(
        (label for label, best in edits.items() if best.edit == edit), None
    )
    st.pills(
        f"What {2**own} combinations of their own meta-latents can move, each by its clearest edit",
        list(edits),
        key="best-pick",
        on_change=picked,
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
    with st.popover("Options", icon=":material/tune:"):
        edit_options(edit)


def meta_boxes(lab: Lab, experiment: Experiment, edit: Edit) -> None:
    """The meta-latents of both sides as check boxes, with sliders on demand."""
    source, target = escape(experiment.source.label), escape(experiment.target.label)
    strengths = st.session_state.get("strengths", False)
    groups = (
        ("source", f"**:blue[{source}'s own]**, ticked: kept"),
        ("target", f"**:orange[{target}'s own]**, ticked: added"),
        ("shared", "**Shared by both**, ticked: kept"),
    )
    for side, heading in groups:
        members = [piece for piece in experiment.pieces if piece.side == side]
        if not members:
            continue
        with st.container(gap="xxsmall"):
            st.markdown(heading)
            for piece in members:
                _box(lab, experiment, edit, piece)
                if strengths:
                    _strength(experiment, edit, piece)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.toggle("Strengths", key="strengths", help="A slider from −2 to 2 for every meta-latent")
        if edit.kind == "swap":
            st.caption(
                "Latent swap is on: all latents active on the two names are exchanged. Any box "
                "starts from here."
            )


def _set_strength(experiment: Experiment, piece: Piece, strength: float) -> None:
    # The session's edit, not the one drawn: a second click can come before the first is drawn.
    session.change_edit(with_strength(session.view().edit, experiment.pieces, piece, strength))


def _box(lab: Lab, experiment: Experiment, edit: Edit, piece: Piece) -> None:
    card, title = lab.meta_card(piece.meta), shared.meta_title(lab, piece.meta)
    key = f"box-{piece.meta}"

    def ticked() -> None:
        _set_strength(experiment, piece, 1.0 if st.session_state[key] else 0.0)

    strength = shown_strength(edit, piece)
    activation = max(piece.on_source, piece.on_target)
    scaled = "" if strength in (0, 1) else f" **×{strength:g}**".replace("-", "−")
    words = shorten(", ".join(_words_beside(card, title)), 60)
    st.session_state[key] = strength != 0
    st.checkbox(
        f"**{escape(title)}** {activation:.2f}{scaled}"
        + (f" :small[:gray[{escape(words)}]]" if words else ""),
        key=key,
        help=_about(card, title, piece, experiment),
        on_change=ticked,
        wrap=True,
    )


def _words_beside(card: MetaCard, title: str) -> list[str]:
    """What its strongest latents are most active on, without what the title says already."""
    words = [word for one in card.latents for word in one.words if word.strip()]
    said = title.casefold().split(", ")
    return [word for word in dict.fromkeys(words) if word.casefold() not in said]


def _about(card: MetaCard, title: str, piece: Piece, experiment: Experiment) -> str:
    latents = "\n".join(
        f"- \\#{one.latent}, {one.activation:.2f}: {escape(', '.join(one.words)) or 'no words'}"
        for one in card.latents
    )
    return (
        f"**Meta-latent {card.meta}**, active on {card.active_on:.1%} of the latents. "
        f"Activation on {escape(experiment.source.label)} {piece.on_source:.2f}, on "
        f"{escape(experiment.target.label)} {piece.on_target:.2f}.\n\n"
        f"Most active on these latents:\n{latents}\n\n"
        f"Raises the tokens: {', '.join(map(escape, card.promoted))}"
        + ("\n\n(?): no label holds; these are words it fires on." if title.endswith("(?)") else "")
    )


def _strength(experiment: Experiment, edit: Edit, piece: Piece) -> None:
    key = f"strength-{piece.meta}"

    def moved() -> None:
        _set_strength(experiment, piece, st.session_state[key])

    st.session_state[key] = shown_strength(edit, piece)
    st.slider(
        "Strength", -MAX_STRENGTH, MAX_STRENGTH, step=0.1, key=key, on_change=moved,
        label_visibility="collapsed",
    )  # fmt: skip
