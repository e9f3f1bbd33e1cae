"""Learning an edit on training names: by gradient through the upper blocks, or greedily.

Shapes: W pieces, D = d_model, R rank.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.ravel.engine import Pair
from metasae.ravel.pieces import Pieces
from metasae.ravel.training import Change, Training, View

RATE = 0.3
"""Adam's rate on a mask's logits: a few dozen steps take a weight from a half to near 0 or 1."""

SUBSPACE_RATE = 1e-2
"""Adam's rate on a subspace's columns, which start at length 1."""

SPARSITY = 0.05
"""Nats a mask that takes every piece of a pair costs more than one that takes none."""

CUTS = (0.35, 0.5, 0.65)
"""Weights above which a piece is taken; the best on training names is."""

_JUDGED = 10
"""Views by which masks are compared."""

_FIRST, _ROUNDS = 8, 6
"""Pieces that are added at once at first when a mask grows, and rounds of it."""

ParametricChange = Callable[[Pair, Tensor], Float[Tensor, "E D"]]


def descend(
    training: Training,
    start: Tensor,
    change: ParametricChange,
    *,
    used: Callable[[Tensor], Tensor],
    rate: float,
    stage: str,
    isolate: bool = True,
    penalty: Callable[[View, str, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Parameters that Adam makes of a start for every attribute, one view a step.

    The attributes' edits share nothing but the pass through the model. The rate falls to zero.

    Args:
        change: what the edit adds, from a pair and the parameters as they are used.
        used: what is used of the parameters.
        isolate: whether the other attributes count.
        penalty: added to a view's loss for an attribute, from the parameters as they are used.

    Returns:
        Attribute → its parameters as they are used.
    """
    made = {about: start.clone().requires_grad_(True) for about in training.attributes}
    optimiser = torch.optim.Adam(made.values(), lr=rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: 1 - n / training.steps)
    for step in range(training.steps):
        view = training.views[step % len(training.views)]
        optimiser.zero_grad()
        now = {about: used(parameters) for about, parameters in made.items()}
        edits: dict[str, Change] = {
            about: functools.partial(_with, change, some) for about, some in now.items()
        }
        loss = training.loss(view, edits, isolate)
        if penalty is not None:
            added = [penalty(view, about, some) for about, some in now.items()]
            loss = loss + torch.stack(added).sum()
        if loss.requires_grad:
            loss.backward()
        optimiser.step()
        falling.step()
        note = f"loss {loss.item() / len(made):.2f} nats an attribute"
        training.progress(stage, (step + 1) / training.steps, note)
    return {about: used(parameters.detach()) for about, parameters in made.items()}


def _with(change: ParametricChange, used: Tensor, pair: Pair) -> Float[Tensor, "E D"]:
    return change(pair, used)


def masks_by_gradient(
    training: Training, pieces: Pieces, stage: str, start: float = 0.0
) -> dict[str, Tensor]:
    """A mask of zeros and ones over pieces for every attribute: soft while it is learned, then cut.

    A piece that no training pair has stays out.

    Args:
        start: logit of every piece's weight to begin with.
    """

    def spread(view: View, attribute: str, weights: Tensor) -> Tensor:
        shares = [
            weights[pieces.present(pair)].mean()
            for pair in view.differing(attribute)
            if len(pieces.present(pair))
        ]
        return SPARSITY * torch.stack(shares).mean() if shares else weights.sum() * 0

    learned = descend(
        training,
        torch.full((pieces.width,), start),
        pieces.change,
        used=torch.sigmoid,
        rate=RATE,
        stage=stage,
        penalty=spread,
    )
    return {about: _cut(training, pieces, about, some) for about, some in learned.items()}


def _cut(
    training: Training, pieces: Pieces, attribute: str, weights: Float[Tensor, " W"]
) -> Float[Tensor, " W"]:
    """Zeros and ones of weights, at the cut that is best on training names."""
    met = torch.zeros(pieces.width, dtype=torch.bool)
    views = training.of(attribute)
    for view in views:
        for pair in view.differing(attribute):
            met[pieces.present(pair)] = True
    masks = [((weights > cut) & met).float() for cut in CUTS]
    scores = _scores(training, pieces, attribute, masks, views[:_JUDGED])
    return masks[int(np.argmax(scores))]


def masks_grown(training: Training, pieces: Pieces, stage: str) -> dict[str, Tensor]:
    """A mask for every attribute that grows by the pieces whose gradient promises most, while it
    scores better.

    The gradient is taken at the present mask; what it promises is verified exactly.
    """
    return {about: _grown(training, pieces, about, stage) for about in training.attributes}


def _grown(training: Training, pieces: Pieces, attribute: str, stage: str) -> Tensor:
    views = training.of(attribute)[:_JUDGED]
    mask, step = torch.zeros(pieces.width), _FIRST
    (best,) = _scores(training, pieces, attribute, [mask], views)
    for number in range(_ROUNDS):
        gain = -_gradient(training, pieces, attribute, mask, views)
        gain[mask > 0] = -torch.inf
        order = gain.argsort(descending=True)[:step]
        order = order[gain[order] > 0]
        grown = mask.clone()
        grown[order] = 1.0
        (scored,) = (
            _scores(training, pieces, attribute, [grown], views) if len(order) else [-np.inf]
        )
        note = f"{attribute}, {int(mask.sum())} pieces, {best:.3f}"
        training.progress(stage, (number + 1) / _ROUNDS, note)
        if scored > best:
            mask, best = grown, scored
        elif step == 1:
            break
        else:
            step //= 2
    return mask


def _gradient(
    training: Training,
    pieces: Pieces,
    attribute: str,
    mask: Float[Tensor, " W"],
    views: tuple[View, ...],
) -> Float[Tensor, " W"]:
    weights = mask.clone().requires_grad_(True)
    for view in views:
        loss = training.loss(view, {attribute: lambda pair: pieces.change(pair, weights)})
        loss.backward()
    return torch.zeros_like(mask) if weights.grad is None else weights.grad


def _scores(
    training: Training,
    pieces: Pieces,
    attribute: str,
    masks: Sequence[Float[Tensor, " W"]],
    views: Sequence[View],
) -> list[float]:
    edits = [functools.partial(_with, pieces.change, mask) for mask in masks]
    return training.scores(views, attribute, edits)


def subspaces(
    training: Training, rank: int, seed: int, stage: str, isolate: bool
) -> dict[str, Float[Tensor, "D R"]]:
    """For every attribute orthonormal columns that span what is exchanged between two names'
    residuals."""
    width = training.lab.model.d_model
    start = torch.randn(width, rank, generator=torch.Generator().manual_seed(seed)) / width**0.5
    return descend(
        training,
        start,
        exchanged,
        used=lambda some: torch.linalg.qr(some).Q,
        rate=SUBSPACE_RATE,
        stage=stage,
        isolate=isolate,
    )


def exchanged(pair: Pair, basis: Float[Tensor, "D R"]) -> Float[Tensor, "E D"]:
    """What exchanging the part of the residual inside a subspace adds: (t − s) Q Qᵀ."""
    return (pair.on_target - pair.rows) @ basis @ basis.T
