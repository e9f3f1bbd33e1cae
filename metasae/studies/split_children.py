"""The children of a split latent, what they keep of its meta-latents, and what they add.

A child c of a parent p (unit directions) is their cosine times p and a remainder across it, which
is what tells it from its parent. Three things are asked of the meta-latents of both:

- ``kept``: of the parent's activations, what the child has as well, Σ min(pᵢ, cᵢ) / Σ pᵢ;
- ``whole``: whether the child has every meta-latent of its parent;
- ``explained``: of the remainder's squared length, what the meta-latents that the child adds
  explain by their activations, taken across the parent; below 0 where they lead away from it.

At a high cosine any direction keeps much, so the same is asked of two other children of the same
cosine: one whose remainder is random, and one whose remainder is a child's of another family.

Shapes: N children, F and G latents of two widths, D = d_model.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.training.controls import APART

MEASURES = ("kept", "whole", "explained")
"""See the module."""

KINDS = {"": "children", "_random": "a random remainder", "_other": "another family's remainder"}
"""How a measure's column ends → whose it is."""

_CHUNK = 2048
"""Directions that are compared at once."""

_SHORTEST = 1e-6
"""Squared length from which on a remainder is more than rounding."""


def children(
    parents: Float[Tensor, "F D"], candidates: Float[Tensor, "G D"], threshold: float
) -> pd.DataFrame:
    """Columns parent, child, cosine: all pairs above the threshold, by parent."""
    unit, parts = normalize(candidates), []
    for begin in range(0, len(parents), _CHUNK):
        cosine = normalize(parents[begin : begin + _CHUNK]) @ unit.T
        parent, child = (cosine > threshold).nonzero(as_tuple=True)
        parts.append(
            pd.DataFrame(
                {
                    "parent": parent.numpy() + begin,
                    "child": child.numpy(),
                    "cosine": cosine[parent, child].numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def across(vectors: Float[Tensor, "N D"], unit: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """What is left of each vector without its part along a unit direction."""
    return vectors - (vectors * unit).sum(1, keepdim=True) * unit


def at_cosine(
    directions: Float[Tensor, "N D"], cosine: Float[Tensor, " N"], towards: Float[Tensor, "N D"]
) -> Float[Tensor, "N D"]:
    """Unit directions of a given cosine to some directions, turned from them towards others."""
    unit = normalize(directions)
    away = (1 - cosine.square()).clamp(min=0).sqrt()
    return cosine[:, None] * unit + away[:, None] * normalize(across(towards, unit))


def of_other_families(families: np.ndarray, draw: np.random.Generator) -> np.ndarray | None:
    """For each child another, drawn from all families but its own; None where there is one family.

    Args:
        families: of each child, in ascending order, (N,).
    """
    _, first, which, size = np.unique(
        families, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) < 2:
        return None
    drawn = draw.integers(0, len(families) - size[which])
    return np.asarray(drawn + np.where(drawn >= first[which], size[which], 0))


def measured(
    meta: SparseAutoencoder, parents: Float[Tensor, "N D"], others: Float[Tensor, "N D"]
) -> dict[str, np.ndarray]:
    """The measures of the module, (N,) each; NaN where there is nothing to keep or to explain.

    Args:
        parents, others: unit directions.
    """
    of_parent, of_child = meta.encode(parents), meta.encode(others)
    has, none = of_parent > 0, ~(of_parent > 0).any(1)
    kept = torch.minimum(of_parent, of_child).sum(1) / of_parent.sum(1)
    whole = (~has | (of_child > 0)).all(1).float()
    remainder = across(others, parents)
    added = across(of_child.masked_fill(has, 0.0) @ meta.W_dec, parents)
    length = remainder.square().sum(1)
    explained = 1 - (remainder - added).square().sum(1) / length
    return {
        "kept": kept.masked_fill(none, torch.nan).numpy(),
        "whole": whole.masked_fill(none, torch.nan).numpy(),
        "explained": explained.masked_fill(length < _SHORTEST, torch.nan).numpy(),
    }


def with_controls(
    meta: SparseAutoencoder,
    narrow: Float[Tensor, "F D"],
    wide: Float[Tensor, "G D"],
    pairs: pd.DataFrame,
    seed: int,
) -> pd.DataFrame:
    """Every measure of some children and of their controls: columns measure + kind.

    Args:
        narrow, wide: unit directions of two widths.
        pairs: as `children` gives them.
    """
    draw = torch.Generator().manual_seed(APART + seed)
    parent, child = (torch.tensor(pairs[name].tolist()).long() for name in ("parent", "child"))
    cosine = torch.tensor(pairs["cosine"].tolist())
    donors = of_other_families(pairs["parent"].to_numpy(), np.random.default_rng(seed))
    parts = []
    for index in torch.arange(len(pairs)).split(_CHUNK):
        p, c = narrow[parent[index]], wide[child[index]]
        random = at_cosine(p, cosine[index], torch.randn(p.shape, generator=draw))
        made = {"": c, "_random": random}
        if donors is not None:
            donor = torch.from_numpy(donors)[index]
            remainder = across(wide[child[donor]], narrow[parent[donor]])
            made["_other"] = at_cosine(p, cosine[index], remainder)
        columns = {
            name + kind: values
            for kind, directions in made.items()
            for name, values in measured(meta, p, directions).items()
        }
        parts.append(pd.DataFrame(columns))
    names = [one + kind for one in MEASURES for kind in KINDS]
    return pd.concat(parts, ignore_index=True).reindex(columns=names)
