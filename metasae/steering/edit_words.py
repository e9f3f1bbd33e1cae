"""What an edit is, in a few words."""

from collections.abc import Callable, Sequence

from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit, LatentSwap, MetaLatentEdit
from metasae.steering.sentences import listed


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
    parts += [f"without {listed(removed)}"] if removed else []
    parts += [f"with {listed(added)}"] if added else []
    parts += [listed(scaled)] if scaled else []
    text = ", ".join(parts) or "no edit"
    if edit.kind == "hundredfold":
        text += "; each ×100"
    if edit.options.everywhere:
        text += "; in every latent"
    if edit.options.keep_residual:
        text += "; residual kept"
    if not edit.options.keep_error:
        text += "; SAE error dropped"
    if edit.options.position == "all":
        text += "; at every position"
    return "; ".join((text, *edit.options.when.words))


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
