"""What the check boxes say of an edit, as plain values."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit, EditOptions, LatentSwap, MetaLatentEdit
from workbench.text import joined

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


def edit_in_words(edit: Edit, pieces: Sequence[Piece], title: Callable[[int], str]) -> str:
    """An edit in a few words: ``without Japan, with French ×0.5; at every position``."""
    parts = []
    if isinstance(edit, LatentSwap):
        parts.append("latent swap")
    known = {piece.meta: piece for piece in pieces}
    removed, added, scaled = [], [], []
    for meta, strength in edit.strengths if isinstance(edit, MetaLatentEdit) else ():
        name = f"“{title(meta)}”" if meta in known else f"meta-latent {meta}"
        is_target = meta in known and known[meta].side == "target"
        if strength == 0:
            removed.append(name)
        elif is_target and edit.options.everywhere:
            continue  # takes no part
        elif is_target:
            added.append(name if strength == 1 else f"{name} ×{_number(strength)}")
        else:
            scaled.append(f"{name} ×{_number(strength)}")
    parts += [f"without {joined(removed)}"] if removed else []
    parts += [f"with {joined(added)}"] if added else []
    parts += [joined(scaled)] if scaled else []
    text = ", ".join(parts) or "no edit"
    options = edit.options
    if isinstance(edit, LatentSwap):  # to which the others mean nothing
        options = replace(options, variant="faithful", keep_residual=False)
    return "; ".join((text, *options_in_words(options)))


def options_in_words(options: EditOptions) -> list[str]:
    """What of an edit's options is not as usual, a few words each."""
    unusual = {
        "each ×100": options.variant == "hundredfold",
        "in every latent": options.everywhere,
        "residual kept": options.keep_residual,
        "SAE error dropped": not options.keep_error,
        "at every position": options.position == "all",
    }
    return [*(words for words, said in unusual.items() if said), *options.when.words]


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
