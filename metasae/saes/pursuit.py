"""Orthogonal matching pursuit: directions written with few of an SAE's decoder rows.

Shapes: F latents, N targets, D = d_model, K most rows a target.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

_CHUNK = 256
"""Targets that are pursued together: their products with the rows stay in a core's cache."""

_MOST_IN_GRAM = 8192
"""Rows whose products with each other are held (at most 256 MB); of more rows, what is left of a
target is multiplied with all of them at each step instead."""

_NOTHING = 1e-5
"""Cosine of a row with what is left, lengths of the row and the whole target: a smaller one is
rounding."""


@dataclass(frozen=True)
class Pursuit:
    """A direction written with few of an SAE's decoder rows.

    Attributes:
        table: columns latent, weight, in the order the rows were taken.
        explained: share of the direction's squared length that is explained after each row.
    """

    table: pd.DataFrame
    explained: tuple[float, ...]


@dataclass(frozen=True)
class Pursuits:
    """Many directions, each written with few rows.

    Attributes:
        latents: in the order they were taken; −1 after the last.
        weights: of the final fit; 0 after the last.
        left: squared length that is not explained after each row; that of the whole direction where
            no row was taken.
    """

    latents: Int[Tensor, "N K"]
    weights: Float[Tensor, "N K"]
    left: Float[Tensor, "N K"]


def pursuit(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int
) -> Pursuit:
    """Orthogonal matching pursuit of one direction; see `pursuits`."""
    made = pursuits(directions, direction[None], count)
    taken = int((made.latents[0] >= 0).sum())
    total = float(direction.square().sum())
    table = pd.DataFrame(
        {
            "latent": made.latents[0, :taken].numpy().astype(np.int64),
            "weight": made.weights[0, :taken].numpy(),
        }
    )
    return Pursuit(table, tuple(1 - float(left) / total for left in made.left[0, :taken]))


@torch.no_grad()
def pursuits(
    directions: Float[Tensor, "F D"],
    targets: Float[Tensor, "N D"],
    count: int,
    chunk: int = _CHUNK,
    signed: bool = False,
) -> Pursuits:
    """Orthogonal matching pursuit of many directions over decoder rows, all of them at once.

    Each step takes the row with the largest dot product with what is left, then fits all weights
    anew by least squares. It ends early where no row has a positive one, since an SAE's activations
    are positive. (The weights of the fit may still be negative.)

    Args:
        directions: rows of any length.
        count: most rows that are taken for a target.
        signed: take the row with the largest absolute dot product, as pursuit is usually defined.
    """
    count = min(count, len(directions))
    # A step's products with what is left are those with the target less those with what was fitted;
    # the latter are the rows' products with each other, which are the same for all targets.
    gram = None
    if len(directions) <= min(_MOST_IN_GRAM, len(targets)):
        gram = directions @ directions.T
    parts = [_pursued(directions, gram, some, count, signed) for some in targets.split(chunk)]
    if not parts:
        empty = torch.empty(0, count)
        return Pursuits(empty.long(), empty, empty)
    return Pursuits(*(torch.cat(one) for one in zip(*parts, strict=True)))


def _pursued(
    directions: Float[Tensor, "F D"],
    gram: Float[Tensor, "F F"] | None,
    targets: Float[Tensor, "N D"],
    count: int,
    signed: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `pursuits`: latents, weights and what is left after each row."""
    each = torch.arange(len(targets))
    latents = torch.full((len(targets), count), -1)
    weights = torch.zeros(len(targets), count, dtype=torch.float64)
    left_after = torch.zeros(len(targets), count)
    going = torch.ones(len(targets), dtype=torch.bool)
    length, lengths = targets.norm(dim=1), directions.norm(dim=1)
    chosen = torch.zeros(len(targets), count, targets.shape[1])
    with_target = score = targets @ directions.T
    for step in range(count):
        if signed:
            score = score.abs()
        if step:
            # Slots are empty only where the pursuit has ended, so nothing is forbidden there.
            score.scatter_(1, latents[:, :step].clamp(min=0), -torch.inf)
        best = score.argmax(1)
        going = going & (score[each, best] > _NOTHING * length * lengths[best])
        latents[going, step] = best[going]
        chosen[going, step] = directions[best[going]]
        # Where nothing was taken the row is empty: a one on the diagonal gives it the weight zero.
        rows = chosen[:, : step + 1]
        empty = torch.diag_embed((latents[:, : step + 1] < 0).double())
        products, wanted = rows @ rows.mT, rows @ targets[:, :, None]
        weights[:, : step + 1] = torch.linalg.solve(products + empty, wanted.double())[:, :, 0]
        fitted = weights[:, None, : step + 1].to(targets.dtype)
        rest = torch.baddbmm(targets[:, None], fitted, rows, alpha=-1.0)[:, 0]
        left_after[:, step] = rest.square().sum(1)
        if step + 1 == count:
            break
        if gram is None:
            score = rest @ directions.T
        else:
            taken = latents[:, : step + 1].clamp(min=0)
            fit = embedding_bag(taken, gram, mode="sum", per_sample_weights=fitted[:, 0])
            score = with_target - fit
    return latents, weights.to(targets.dtype), left_after
