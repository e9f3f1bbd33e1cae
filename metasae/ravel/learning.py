"""Learning an edit on training names: by gradient through the upper blocks, or greedily.

Shapes: W pieces, D = d_model, R rank.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.ravel.engine import Pair
from metasae.ravel.pieces import Pieces
from metasae.ravel.training import Training, View

RATE = 0.3
"""Adam's rate on a mask's logits: a few dozen steps take a weight from a half to near 0 or 1."""

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
    attribute: str,
    start: Tensor,
    change: ParametricChange,
    *,
    rate: float,
    stage: str,
    isolate: bool = True,
    penalty: Callable[[View, Tensor], Tensor] | None = None,
) -> Tensor:
    """Parameters that Adam makes of a start, one view a step.

    Args:
        change: what the edit adds, from a pair and the parameters.
        isolate: whether the other attributes count.
        penalty: added to a view's loss.
    """
    views = training.of(attribute)
    parameters = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([parameters], lr=rate)
    for step in range(training.steps):
        view = views[step % len(views)]
        optimiser.zero_grad()
        loss = training.loss(view, attribute, lambda pair: change(pair, parameters), isolate)
        if penalty is not None:
            loss = loss + penalty(view, parameters)
        loss.backward()
        optimiser.step()
        progress_note = f"{attribute}, loss {loss.item():.2f} nats"
        training.progress(stage, (step + 1) / training.steps, progress_note)
    return parameters.detach()


def mask_by_gradient(training: Training, pieces: Pieces, attribute: str, stage: str) -> Tensor:
    """A mask of zeros and ones over pieces: soft while it is learned, then cut.

    A piece that no training pair has stays out.
    """
    met = torch.zeros(pieces.width, dtype=torch.bool)
    for view in training.of(attribute):
        for pair in view.differing(attribute):
            met[pieces.present(pair)] = True

    def spread(view: View, logits: Tensor) -> Tensor:
        shares = [
            logits[pieces.present(pair)].sigmoid().mean()
            for pair in view.differing(attribute)
            if len(pieces.present(pair))
        ]
        return SPARSITY * torch.stack(shares).mean() if shares else logits.sum() * 0

    logits = descend(
        training,
        attribute,
        torch.zeros(pieces.width),
        lambda pair, some: pieces.change(pair, some.sigmoid()),
        rate=RATE,
        stage=stage,
        penalty=spread,
    )
    masks = [((logits.sigmoid() > cut) & met).float() for cut in CUTS]
    views = training.of(attribute)[:_JUDGED]
    scores = [_score(training, pieces, attribute, mask, views) for mask in masks]
    return masks[int(np.argmax(scores))]


def mask_greedily(training: Training, pieces: Pieces, attribute: str, stage: str) -> Tensor:
    """A mask that grows by the pieces whose gradient promises most, while it scores better.

    The gradient is taken at the present mask; what it promises is verified exactly.
    """
    views = training.of(attribute)[:_JUDGED]
    mask, step = torch.zeros(pieces.width), _FIRST
    best = _score(training, pieces, attribute, mask, views)
    for number in range(_ROUNDS):
        gain = -_gradient(training, pieces, attribute, mask, views)
        gain[mask > 0] = -torch.inf
        order = gain.argsort(descending=True)[:step]
        order = order[gain[order] > 0]
        grown = mask.clone()
        grown[order] = 1.0
        scored = _score(training, pieces, attribute, grown, views) if len(order) else -np.inf
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
        loss = training.loss(view, attribute, lambda pair: pieces.change(pair, weights))
        loss.backward()
    return torch.zeros_like(mask) if weights.grad is None else weights.grad


def _score(
    training: Training,
    pieces: Pieces,
    attribute: str,
    mask: Float[Tensor, " W"],
    views: tuple[View, ...],
) -> float:
    return training.score(views, attribute, lambda pair: pieces.change(pair, mask))


def rotation(
    training: Training, attribute: str, rank: int, seed: int, stage: str, isolate: bool
) -> Float[Tensor, "D R"]:
    """Orthonormal columns that span what is exchanged between two names' residuals."""
    width = training.lab.model.d_model
    start = torch.randn(width, rank, generator=torch.Generator().manual_seed(seed)) / width**0.5
    found = descend(
        training,
        attribute,
        start,
        lambda pair, some: exchanged(pair, torch.linalg.qr(some).Q),
        rate=3e-3,
        stage=stage,
        isolate=isolate,
    )
    basis: Tensor = torch.linalg.qr(found).Q
    return basis


def exchanged(pair: Pair, basis: Float[Tensor, "D R"]) -> Float[Tensor, "E D"]:
    """What exchanging the part of the residual inside a subspace adds: (t − s) Q Qᵀ."""
    return (pair.on_target - pair.rows) @ basis @ basis.T
