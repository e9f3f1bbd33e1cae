"""Orthogonal matching pursuit: a direction written with few of an SAE's decoder rows.

Shapes: F latents, D = d_model.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Pursuit:
    """A direction written with few of an SAE's decoder rows.

    Attributes:
        table: columns latent, weight, in the order the rows were taken.
        explained: share of the direction's squared length that is explained after each row.
    """

    table: pd.DataFrame
    explained: tuple[float, ...]


def pursuit(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int
) -> Pursuit:
    """Orthogonal matching pursuit of a direction over decoder rows.

    Each step takes the row with the largest dot product with the residual, then fits all weights
    anew by least squares. It ends early when no row has a positive one, since an SAE's activations
    are positive.

    Args:
        directions: rows of any length.
        count: most rows that are taken.
    """
    left, chosen = direction.clone(), list[int]()
    explained: list[float] = []
    weights = torch.zeros(0)
    total = float(direction.square().sum())
    for _ in range(count):
        score = directions @ left
        score[chosen] = -torch.inf
        best = int(score.argmax())
        if score[best] <= 0:
            break
        chosen.append(best)
        rows = directions[chosen]
        weights = torch.linalg.lstsq(rows.T, direction[:, None]).solution[:, 0]
        left = direction - weights @ rows
        explained.append(1 - float(left.square().sum()) / total)
    table = pd.DataFrame(
        {"latent": np.array(chosen, dtype=np.int64), "weight": weights[: len(chosen)].numpy()}
    )
    return Pursuit(table, tuple(explained))
