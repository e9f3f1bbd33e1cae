"""Quality of an SAE at inference: how much of some rows it explains, with how many latents."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.training.rows import Rows, parts_of


@dataclass(frozen=True)
class Quality:
    """Quality of an SAE on some rows, at inference.

    Attributes:
        l0: mean number of active latents a row.
        fve: fraction of variance explained, uncentred: 1 − Σ‖x − x̂‖² / Σ‖x‖².
        fve_centred: the same around the mean: 1 − Σ‖x − x̂‖² / Σ‖x − mean‖².
        dead: number of latents active on none of the rows.
        l0_counts: number of rows with 0, 1, 2, … active latents.
        density: share of the rows on which a latent is active, at the quantiles 0, ¼, ½, ¾ and 1
            of the latents.
    """

    l0: float
    fve: float
    fve_centred: float
    dead: int
    l0_counts: tuple[int, ...] = ()
    density: tuple[float, ...] = ()


@torch.no_grad()
def quality(sae: SparseAutoencoder, x: Rows | Float[Tensor, "N D"], chunk: int = 2048) -> Quality:
    """Quality of an SAE on some rows.

    Args:
        chunk: rows that are encoded at once.
    """
    left, total = 0.0, 0.0
    summed = torch.zeros(sae.d_in, dtype=torch.float64)
    active = torch.zeros(sae.width, dtype=torch.int64)
    l0_counts = torch.zeros(sae.width + 1, dtype=torch.int64)
    for part in parts_of(x, chunk):
        acts = sae.encode(part)
        left += float((part - sae.decode(acts)).double().square().sum())
        total += float(part.double().square().sum())
        summed += part.double().sum(0)
        on = acts > 0
        active += on.sum(0)
        l0_counts += torch.bincount(on.sum(1), minlength=sae.width + 1)
    count = len(x)
    centred = total - float(summed.square().sum()) / count
    most = int(l0_counts.nonzero().max()) + 1
    quantiles = torch.linspace(0, 1, 5, dtype=torch.float64)
    return Quality(
        l0=float(active.sum()) / count,
        fve=1 - left / total,
        fve_centred=1 - left / centred,
        dead=int((active == 0).sum()),
        l0_counts=tuple(l0_counts[:most].tolist()),
        density=tuple((active.double() / count).quantile(quantiles).tolist()),
    )
