"""Which decoder directions are close to which, by cosine similarity.

Shapes: F latents, D = d_model.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.saes.decomposition import Decomposition


def nearest(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int = 5,
    without: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The directions closest to one: columns latent, cosine.

    Args:
        without: a latent that is left out: the direction's own.
    """
    lengths = directions.norm(dim=1).clamp(min=1e-12) * direction.norm().clamp(min=1e-12)
    cosine = directions @ direction / lengths
    if without is not None:
        cosine[without] = -2.0
    found = cosine.topk(min(count, len(cosine) - (without is not None)))
    return pd.DataFrame({"latent": found.indices.numpy(), "cosine": found.values.numpy()})


def nearest_cosine(directions: Float[Tensor, "F D"], chunk: int = 2048) -> float:
    """Median over the directions of the cosine to their nearest other one."""
    unit = directions / directions.norm(dim=1, keepdim=True)
    nearest = []
    for begin in range(0, len(unit), chunk):
        cosine = unit[begin : begin + chunk] @ unit.T
        cosine[torch.arange(len(cosine)), torch.arange(begin, begin + len(cosine))] = -1.0
        nearest.append(cosine.amax(1))
    return float(torch.cat(nearest).median())


SIBLINGS = 5
"""Latents a label has to be told apart from."""


def siblings(
    directions: Float[Tensor, "F D"], count: int = SIBLINGS, chunk: int = 2048
) -> np.ndarray:
    """For every direction the others closest to it, (F, count)."""
    unit = torch.nn.functional.normalize(directions)
    count = min(count, len(unit) - 1)
    found = []
    for begin in range(0, len(unit), chunk):
        cosine = unit[begin : begin + chunk] @ unit.T
        cosine[torch.arange(len(cosine)), torch.arange(begin, begin + len(cosine))] = -2.0
        found.append(cosine.topk(count, dim=1).indices)
    return torch.cat(found).numpy()


VERY_SIMILAR = 0.7
"""Cosine above which the post takes a latent for a part of another."""


def split_into(
    decomposition: Decomposition, direction: Float[Tensor, " D"], least: float = VERY_SIMILAR
) -> list[int]:
    """Latents whose directions are very similar to one, the most similar first."""
    directions = decomposition.sae.W_dec
    cosine = directions @ direction / (directions.norm(dim=1) * direction.norm())
    hit = (cosine > least).nonzero()[:, 0]
    order = torch.argsort(cosine[hit], descending=True)
    latents: list[int] = hit[order].tolist()
    return latents
