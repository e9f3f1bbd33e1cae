"""Dictionaries whose studies can be worked out by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.studies.study import Material

D_MODEL = 8


def sae_of(directions: Tensor, threshold: float = 0.1) -> SparseAutoencoder:
    """An SAE with these decoder rows, each read along itself."""
    rows = normalize(directions)
    return SparseAutoencoder(
        W_enc=rows.T.contiguous(), b_enc=torch.zeros(len(rows)), W_dec=rows,
        b_dec=torch.zeros(rows.shape[1]), threshold=torch.full((len(rows),), threshold),
    )  # fmt: skip


def sums_of(axes: Sequence[Sequence[int]]) -> Tensor:
    """Unit directions, each the sum of some of the axes."""
    rows = torch.zeros(len(axes), D_MODEL)
    for row, some in zip(rows, axes, strict=True):
        row[list(some)] = 1.0
    return normalize(rows)


def material_of(
    latents: Sequence[Sequence[int]], smaller: Sequence[Sequence[int]] = (), seeds: int = 0
) -> Material:
    """Latents that are sums of axes, which are the meta-latents, and a smaller SAE's latents."""
    meta = sae_of(torch.eye(D_MODEL))
    widths = (len(smaller),) if smaller else ()
    return Material(
        Decomposition(sae_of(sums_of(latents)), meta),
        (meta,) * seeds,
        widths,
        lambda width: sae_of(sums_of(smaller)),
        train_on_all=lambda saes, seed, progress: meta,
    )
