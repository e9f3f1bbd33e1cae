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
        table: columns latent, weight, in the order they were chosen.
        explained: share of the direction's squared length, after each.
    """

    table: pd.DataFrame
    explained: tuple[float, ...]


def pursuit(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int
) -> Pursuit:
    """Orthogonal matching pursuit: the row closest to what is left, then all weights anew.

    Only rows that point the same way are taken, as an SAE's activations are positive; the weights
    are those of least squares.
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
