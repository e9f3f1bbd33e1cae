"""Where the condition of an edit holds: by how the source's latents fire, by what was read.

Shapes: T tokens of a tree, or positions of it; S source latents.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.lm.token_tree import TokenTree
from metasae.steering.conditions import Condition


def fires(when: Condition, source: Float[Tensor, "T S"]) -> Bool[Tensor, " T"]:
    """Where one of the source's latents fires enough, from their activations."""
    if when.above is None:
        return torch.ones(len(source), dtype=torch.bool)
    return (source > when.above).any(-1)


def reached(when: Condition, model: LanguageModel, tree: TokenTree) -> Bool[Tensor, " T"]:
    """Which tokens of a tree stand where the condition's text has come.

    Raises:
        UserError: for a text that tokenises to nothing.
    """
    if not when.after:
        return torch.ones(len(tree), dtype=torch.bool)
    runs = {tuple(model.encode(text)) for text in (when.after, f" {when.after}")} - {()}
    if not runs:
        raise UserError(f'{model.name} reads nothing of "{when.after}"; give another token.')
    had: list[bool] = []
    for place, parent in enumerate(tree.parents):
        before = parent >= 0 and had[parent]
        had.append(before or any(_ends(tree, place, run) for run in runs))
    if when.including:
        return torch.tensor(had)
    return torch.tensor([parent >= 0 and had[parent] for parent in tree.parents])


def _ends(tree: TokenTree, place: int, run: tuple[int, ...]) -> bool:
    """Whether a run of tokens ends at a place of a tree."""
    for token in reversed(run):
        if place < 0 or tree.tokens[place] != token:
            return False
        place = tree.parents[place]
    return True
