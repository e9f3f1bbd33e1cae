"""A sparse autoencoder: its weights, and how it encodes, decodes and reconstructs.

Shapes: D = d_in, F = number of latents, N rows.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class SparseAutoencoder:
    """A sparse autoencoder with one affine encoder, one selection and one affine decoder.

    ``f(x) = select(ReLU((x − b_dec) W_enc + b_enc))``, ``x̂ = b_dec + f(x) W_dec``. Exactly one of
    ``k`` and ``threshold`` is set: ``select`` keeps the k largest latents of a row, or every latent
    whose pre-activation is above its threshold.

    Attributes:
        metadata: what its file says beside the weights, such as the model and the hook.
    """

    W_enc: Float[Tensor, "D F"]
    b_enc: Float[Tensor, " F"]
    W_dec: Float[Tensor, "F D"]
    b_dec: Float[Tensor, " D"]
    k: int | None = None
    threshold: Float[Tensor, " F"] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Number of latents."""
        return self.W_dec.shape[0]

    @property
    def d_in(self) -> int:
        """Width of the rows that are encoded."""
        return self.W_dec.shape[1]

    def preactivations(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N F"]:
        """Pre-activations of all latents, which the selection chooses from."""
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    def encode_sparse(
        self, x: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "N k"], Int[Tensor, "N k"]]:
        """The k largest activations of each row and their latents, of a TopK SAE.

        Raises:
            ValueError: for an SAE with thresholds.
        """
        if self.k is None:
            raise ValueError("only a TopK SAE has the same number of latents in every row")
        values, latents = self.preactivations(x).topk(self.k, dim=-1)
        return values.relu(), latents

    def encode(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N F"]:
        """Activations of all latents, zero where a latent isn't selected."""
        if self.k is not None:
            values, latents = self.encode_sparse(x)
            return torch.zeros(len(x), self.width).scatter_(1, latents, values)
        pre = self.preactivations(x)
        assert self.threshold is not None
        return torch.where(pre > self.threshold, pre.relu(), 0.0)

    def encode_some(
        self, x: Float[Tensor, "N D"], latents: Int[Tensor, " G"]
    ) -> Float[Tensor, "N G"]:
        """Activations of some latents; of a TopK SAE all are encoded, since they compete."""
        if self.k is not None:
            return self.encode(x)[:, latents]
        assert self.threshold is not None
        pre = (x - self.b_dec) @ self.W_enc[:, latents] + self.b_enc[latents]
        return torch.where(pre > self.threshold[latents], pre.relu(), 0.0)

    def decode(self, activations: Float[Tensor, "N F"]) -> Float[Tensor, "N D"]:
        """Reconstructions of rows from their activations."""
        return activations @ self.W_dec + self.b_dec

    def decode_sparse(
        self, values: Float[Tensor, "N k"], latents: Int[Tensor, "N k"]
    ) -> Float[Tensor, "N D"]:
        """Reconstructions of rows from what `encode_sparse` returns."""
        return torch.einsum("nk,nkd->nd", values, self.W_dec[latents]) + self.b_dec

    def reconstruct(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Reconstructions of rows; a TopK SAE needs no dense activations for them."""
        if self.k is None:
            return self.decode(self.encode(x))
        return self.decode_sparse(*self.encode_sparse(x))
