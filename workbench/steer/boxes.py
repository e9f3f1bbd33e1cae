"""What the check boxes say of an edit, as plain values."""

from collections.abc import Callable, Sequence

from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit, LatentSwap, MetaLatentEdit

UNCLEAR = "(?)"
"""What a title ends with when no label held."""

STRONG = 0.5
"""Share of a side's strongest activation from which on a piece is never folded away."""


def shown_strength(edit: Edit, piece: Piece) -> float:
    """Strength a box stands for; a latent swap takes all of the source out and the target in."""
    if isinstance(edit, LatentSwap):
        return {"source": 0.0, "target": 1.0, "shared": 1.0}[piece.side]
    return edit.strength(piece.meta, piece.default)


def with_strength(edit: Edit, pieces: Sequence[Piece], piece: Piece, strength: float) -> Edit:
    """The edit with one box changed; after a swap the other boxes stay as they were shown."""
    changed = MetaLatentEdit(options=edit.options)
    for other in pieces:
        value = strength if other.meta == piece.meta else shown_strength(edit, other)
        changed = changed.with_strength(other.meta, value, other.default)
    return changed


def sorted_out(
    pieces: Sequence[Piece], title: Callable[[int], str]
) -> tuple[list[Piece], list[Piece]]:
    """A side's pieces as they are shown, and those that are folded away; each the strongest first.

    What is unclear and less than `STRONG` times as active as the side's strongest is folded: it
    explains little and does little.
    """
    if not pieces:
        return [], []
    floor = STRONG * max(map(activation, pieces))
    folded = [
        piece
        for piece in pieces
        if title(piece.meta).endswith(UNCLEAR) and activation(piece) < floor
    ]
    return [piece for piece in pieces if piece not in folded], folded


def activation(piece: Piece) -> float:
    """How active a piece is, on the side where it is more so."""
    return max(piece.on_source, piece.on_target)


def is_changed(edit: Edit, piece: Piece) -> bool:
    """Whether its box stands for another strength than without any edit."""
    return shown_strength(edit, piece) != piece.default


def box_name(title: str, meta: int) -> str:
    """How a box is called: in words, with the number of its meta-latent."""
    number = f"meta-latent {meta}"
    return number if title == number else f"{title} ({number})"
