"""The meta-latents of a pair as check boxes, with sliders on demand."""

from collections.abc import Sequence

import streamlit as st

from metasae.lab.lab import Lab
from metasae.lab.meta_cards import MetaCard
from metasae.steering.edit_space import Piece
from metasae.steering.edits import MAX_STRENGTH, Edit
from metasae.steering.experiment import Experiment
from workbench import glossary, session, shared
from workbench.steer.boxes import (
    UNCLEAR,
    activation,
    box_name,
    is_changed,
    shown_strength,
    sorted_out,
    with_strength,
)
from workbench.text import escape, plain, shorten

_NO_SWAP = (
    "The latent swap is off: it exchanges whole latents. Untick a piece to take it out of every "
    "latent, or press “Latent swap” again."
)


def meta_boxes(lab: Lab, experiment: Experiment, edit: Edit) -> None:
    """The boxes of both sides, the strongest first; weak ones that are unclear are folded."""
    source, target = escape(experiment.source.label), escape(experiment.target.label)
    groups = (
        ("source", f"**:blue[{source}'s own]** pieces: untick to take away"),
        ("target", f"**:orange[{target}'s own]** pieces: tick to add"),
        ("shared", "**Shared by both**: untick to take away"),
    )
    title, first = shared.meta_titles(lab), True
    for side, heading in groups:
        members = [piece for piece in experiment.pieces if piece.side == side]
        if not members:
            continue
        # No container for each piece: a tick would draw them all; look.css sets pieces apart.
        with st.container(gap=None, key=f"boxes-{side}"):
            st.markdown(heading, help=glossary.explained("meta-latent") if first else None)
            shown, folded = sorted_out(members, title)
            for piece in shown:
                _piece(lab, experiment, edit, piece, title(piece.meta))
            if folded:
                _folded(lab, experiment, edit, [(one, title(one.meta)) for one in folded], side)
        first = False
    with st.container(horizontal=True, vertical_alignment="center"):
        st.toggle("Strengths", key="strengths", help="A slider from −2 to 2 for every meta-latent")
        if edit.kind == "swap":
            st.caption(
                "Latent swap is on: all latents active on the two names are exchanged. Any box "
                "starts from here."
            )
    _which_latents(experiment)


def _which_latents(experiment: Experiment) -> None:
    """Whether the boxes change the source's latents alone, or every latent that has the piece."""
    key, label = "every-latent", escape(experiment.source.label)

    def chosen(everywhere: bool) -> None:
        now = session.view().edit
        if now.kind == "swap":
            session.notify(_NO_SWAP, wrong=False)
        # Everywhere is at every position, too, and leaves alone what the meta-SAE can't explain.
        session.change_edit(
            now.without_swap().with_options(
                variant="everywhere" if everywhere else "faithful",
                keep_residual=everywhere,
                position="all" if everywhere else "last",
            )
        )

    st.radio(
        "Change these pieces",
        [False, True],
        format_func=lambda every: "in every latent" if every else f"only in {label}'s latents",
        key=key,
        horizontal=True,
        # The words name the source: those of another pair's are none of these.
        on_change=session.shows(key, lambda view: view.edit.options.everywhere, chosen, pair=True),
        help="In every latent: a piece you untick or scale goes from all latents of the SAE that "
        "have it, at every token, wherever the model uses it. Pieces can't be added this way.",
    )


def _folded(
    lab: Lab, experiment: Experiment, edit: Edit, pieces: list[tuple[Piece, str]], side: str
) -> None:
    """Pieces of which nobody knows what they are; in sight as soon as the edit changes one.

    Args:
        pieces: with what they are called.
    """
    key = f"unclear-{side}"
    # It opens by itself and never closes under the hand of who ticks inside.
    opened = st.session_state.get(key, False) or any(is_changed(edit, piece) for piece, _ in pieces)
    st.session_state[key] = opened
    fold = st.expander(f"unclear ({len(pieces)})", key=key, type="compact", on_change="rerun")
    with fold, st.container(gap=None):
        for piece, title in pieces:
            _piece(lab, experiment, edit, piece, title)


def _piece(lab: Lab, experiment: Experiment, edit: Edit, piece: Piece, title: str) -> None:
    _box(lab, experiment, edit, piece, title)
    if st.session_state.get("strengths", False):
        _strength(experiment, piece, title)


def _set_strength(pieces: Sequence[Piece], piece: Piece, strength: float) -> None:
    # The session's edit, not the one drawn: a second click can come before the first is drawn.
    # Callbacks hold the pieces alone: with the experiment a session would keep its activations for
    # as long as Streamlit keeps the session.
    session.change_edit(with_strength(session.view().edit, pieces, piece, strength))


def _box(lab: Lab, experiment: Experiment, edit: Edit, piece: Piece, title: str) -> None:
    card, key, pieces = lab.meta_card(piece.meta), f"box-{piece.meta}", experiment.pieces

    def ticked(on: bool) -> None:
        _set_strength(pieces, piece, 1.0 if on else 0.0)

    strength = shown_strength(edit, piece)
    scaled = "" if strength in (0, 1) else f" ×{strength:g}".replace("-", "−")
    # A screen reader reads the label as it is written here: no marks of bold or colour in it.
    st.checkbox(
        plain(box_name(title, piece.meta)) + scaled,
        key=key,
        help=_about(card, title, piece, experiment),
        on_change=session.shows(
            key, lambda view: shown_strength(view.edit, piece) != 0, ticked, pair=True
        ),
        wrap=True,
    )
    words = shorten(", ".join(_words_beside(card, title)), 60)
    st.caption(f"{activation(piece):.2f}" + (f" · {escape(words)}" if words else ""))


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
        + (
            f"\n\n{UNCLEAR}: no label holds; these are words it fires on."
            if title.endswith(UNCLEAR)
            else ""
        )
    )


def _strength(experiment: Experiment, piece: Piece, title: str) -> None:
    key, pieces = f"strength-{piece.meta}", experiment.pieces

    def moved(strength: float) -> None:
        _set_strength(pieces, piece, strength)

    st.slider(
        f"Strength of {plain(box_name(title, piece.meta))}",
        -MAX_STRENGTH,
        MAX_STRENGTH,
        step=0.1,
        key=key,
        on_change=session.shows(
            key, lambda view: shown_strength(view.edit, piece), moved, pair=True
        ),
        label_visibility="collapsed",
    )
