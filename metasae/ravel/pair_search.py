"""The pieces that are best exchanged for one pair, found on training prompts about it.

The names may be held out, the prompts are not: what is found here knows the pair, unlike a mask
that is learned on other names.

Shapes: W pieces.
"""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.ravel.data import answers_about
from metasae.ravel.engine import Asked, Pair
from metasae.ravel.pieces import Pieces
from metasae.ravel.portraits import Portrait
from metasae.ravel.training import Training, View


def best_for_pair(
    training: Training, pieces: Pieces, attribute: str, source: Portrait, target: Portrait
) -> Float[Tensor, " W"]:
    """A mask for one pair: the piece that helps most is added while any helps.

    Scored as `Training.score` does, by both names' answers. Of pairs whose answers about the
    attribute don't differ nothing is exchanged.
    """
    mask = torch.zeros(pieces.width)
    views = _views(training, source, target)
    if not source.entity.differs(target.entity, attribute):
        return mask

    def exchange(some: Float[Tensor, " W"], pair: Pair) -> Float[Tensor, "E D"]:
        return pieces.change(pair, some)

    def scores(some: list[Float[Tensor, " W"]]) -> list[float]:
        edits = [functools.partial(exchange, one) for one in some]
        return training.scores(views, attribute, edits)

    (best,) = scores([mask])
    left = pieces.present(views[0].pairs[0]).tolist()
    while left:
        found = scores([mask.index_fill(0, torch.tensor([piece]), 1.0) for piece in left])
        at = max(range(len(left)), key=found.__getitem__)
        if found[at] <= best:
            break
        best = found[at]
        mask[left.pop(at)] = 1.0
    return mask


def _views(training: Training, source: Portrait, target: Portrait) -> tuple[View, ...]:
    """The pair asked with all training templates, each time with one an attribute."""
    by_attribute = [
        [one for one in training.templates if one.attribute == attribute]
        for attribute in training.attributes
    ]
    answers = answers_about((source.entity, target.entity), training.attributes)
    views = []
    for number in range(max(map(len, by_attribute))):
        templates = [some[number % len(some)] for some in by_attribute]
        asked = Asked(training.lab, source, templates, answers)
        views.append(View(asked, (asked.pair(target),)))
    return tuple(views)
