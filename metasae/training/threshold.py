"""The one inference threshold of a BatchTopK SAE."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.selection import kth_largest
from metasae.training.rows import Rows, parts_of


@torch.no_grad()
def with_threshold(
    sae: SparseAutoencoder, x: Rows | Float[Tensor, "N D"], k: float
) -> SparseAutoencoder:
    """The SAE with one threshold for all latents, at which rows have k active latents on average.

    BatchTopK selects across a batch; this is its inference form, which doesn't. Of all
    pre-activations only those that can still be among the k·N largest are held in memory.
    """
    count = round(k * len(x)) + 1
    held, bound = torch.empty(0), 0.0
    for part in parts_of(x):
        pre = sae.preactivations(part).flatten()
        held = torch.cat([held, pre[pre > bound]])
        if len(held) > 4 * count:
            bound = float(kth_largest(held, count))
            held = held[held >= bound]
    # Fewer positive ones than are wanted: all of them stay.
    threshold = float(kth_largest(held, count)) if len(held) >= count else 0.0
    return replace(sae, k=None, threshold=torch.full((sae.width,), threshold))
