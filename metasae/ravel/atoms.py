"""Latents taken apart into those of a smaller SAE by matching pursuit, in place of meta-latents.

Shapes: F latents, M latents of the smaller SAE, D = d_model.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.csr import row_starts
from metasae.saes.decomposition import Decomposition
from metasae.saes.pursuit import pursuits


@dataclass(frozen=True)
class Atoms(Decomposition):
    """An SAE's latents, each written with a few unit decoder rows of a smaller SAE.

    Attributes:
        most: rows a latent is written with at most.
    """

    most: int = 4

    @staticmethod
    def of(sae: SparseAutoencoder, smaller: SparseAutoencoder, most: int) -> "Atoms":
        """The pursuit over a smaller SAE's rows; nothing of its encoder is used."""
        rows = normalize(smaller.W_dec)
        width, d_in = rows.shape
        meta = SparseAutoencoder(
            rows.T.contiguous(), torch.zeros(width), rows, torch.zeros(d_in), k=most
        )
        return Atoms(sae, meta, most)

    @cached_property
    def activations(self) -> Float[Tensor, "F M"]:
        """Weight of every row in every latent's direction, sparse (CSR).

        The fit of the pursuit, without its few negative weights: a piece is active or it isn't.
        """
        made = pursuits(self.meta.W_dec, self.sae.W_dec, self.most)
        row, place = (made.weights > 0).nonzero(as_tuple=True)
        column, value = made.latents[row, place], made.weights[row, place]
        order = torch.argsort(row * self.n_meta + column)
        row, column, value = row[order], column[order], value[order]
        shape = (self.n_latents, self.n_meta)
        start = row_starts(row, self.n_latents)
        return torch.sparse_csr_tensor(start, column, value, shape, check_invariants=False)
