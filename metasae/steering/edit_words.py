"""What an edit is, in a few words."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit, EditOptions, LatentSwap, MetaLatentEdit
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
