"""Encoding in a fast precision: which latents of an SAE fire on which rows.

Shapes: N rows, D = d_model, F latents.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.selection import select_topk


@dataclass(frozen=True)
class Encoder:
    """An SAE with its encoder in a precision that is fast on this processor."""

    sae: SparseAutoencoder
    W_enc: Float[Tensor, "D F"]
    b_enc: Float[Tensor, " F"]

    @staticmethod
    def of(sae: SparseAutoencoder, dtype: torch.dtype) -> "Encoder":
        """The encoder of an SAE in one precision."""
        return Encoder(sae, sae.W_enc.to(dtype), sae.b_enc.to(dtype))

    def entries(self, x: Float[Tensor, "N D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Row, latent and activation of every active latent, in the order of the rows."""
        pre = torch.addmm(self.b_enc, (x - self.sae.b_dec).to(self.W_enc.dtype), self.W_enc)
        if self.sae.k is not None:
            chosen = select_topk(pre, self.sae.k)
            row, latent = chosen.row, chosen.latent
            value = pre[row, latent].float()
        else:
            assert self.sae.threshold is not None
            on = (pre > self.sae.threshold.to(pre.dtype)) & (pre > 0)
            row, latent = on.nonzero(as_tuple=True)
            value = pre[row, latent].float()
        fires = value > 0
        return row[fires], latent[fires], value[fires]
