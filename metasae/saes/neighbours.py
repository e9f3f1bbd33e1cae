"""Which decoder directions are close to which, by cosine similarity.

Shapes: F directions of an SAE's decoder, Q directions they are compared with, D = d_model.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

_CHUNK = 2048
"""Rows of the cosine matrix that are held at once."""

SIBLINGS = 5
"""Closest latents that a latent's label must distinguish it from."""

VERY_SIMILAR = 0.7
"""Cosine above which the post takes a latent for a part of another."""


def nearest(
    directions: Float[Tensor, "F D"],
    direction: Float[Tensor, " D"],
    count: int = 5,
    without: int | None = None,
) -> pd.DataFrame:
    """The directions closest to one: columns latent, cosine; the closest first.

    Args:
        count: most rows of the table.
        without: a latent that is left out, such as the one whose direction it is.
    """
    own = None if without is None else torch.tensor([without])
    cosine, latent = top_cosines(directions, direction[None], count, own)
    return pd.DataFrame({"latent": latent[0].numpy(), "cosine": cosine[0].numpy()})


def nearest_cosine(directions: Float[Tensor, "F D"], chunk: int = _CHUNK) -> float:
    """Median over the directions of the cosine to their nearest other one; −1 if there is none."""
    if len(directions) < 2:
        return -1.0
    cosine, _ = top_cosines(directions, directions, 1, torch.arange(len(directions)), chunk)
    return float(cosine.median())


def siblings(
    directions: Float[Tensor, "F D"], count: int = SIBLINGS, chunk: int = _CHUNK
) -> np.ndarray:
    """Indices of the other directions closest to each, the closest first: (F, count).

    There are fewer columns when there are fewer other directions.
    """
    _, latent = top_cosines(directions, directions, count, torch.arange(len(directions)), chunk)
    return latent.numpy()


def split_into(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], least: float = VERY_SIMILAR
) -> list[int]:
    """Latents whose directions have a cosine above ``least`` with one, the most similar first."""
    cosine, latent = top_cosines(directions, direction[None], len(directions))
    latents: list[int] = latent[cosine > least].tolist()
    return latents


def top_cosines(
    directions: Float[Tensor, "F D"],
    compared: Float[Tensor, "Q D"],
    count: int,
    own: Int[Tensor, " Q"] | None = None,
    chunk: int = _CHUNK,
) -> tuple[Float[Tensor, "Q count"], Int[Tensor, "Q count"]]:
    """The largest cosines of each compared direction, and which directions have them.

    Args:
        count: how many, the largest first; fewer when there are fewer directions.
        own: for each compared direction the one it must not be matched with, itself. It is left
            out by its index: rounding may put the cosine of an equal direction above its own.
    """
    # Divided by their lengths afterwards: a million directions leave no room for a scaled copy.
    lengths = directions.norm(dim=1).clamp(min=1e-12)
    count = min(count, len(directions) - (own is not None))
    cosines, indices = [], []
    for begin in range(0, len(compared), chunk):
        cosine = normalize(compared[begin : begin + chunk]) @ directions.T / lengths
        if own is not None:
            cosine[torch.arange(len(cosine)), own[begin : begin + chunk]] = -torch.inf
        top = cosine.topk(count, dim=1)
        cosines.append(top.values)
        indices.append(top.indices)
    return torch.cat(cosines), torch.cat(indices)
