"""Decomposition of an SAE's latents into meta-latents: a meta-SAE applied to decoder directions.

Shapes: F latents, M meta-latents, D = d_model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.csr import row_starts

_ROWS = 4096
"""Decoder directions that are encoded at once."""


@dataclass(frozen=True)
class Decomposition:
    """An SAE's decoder directions decomposed by a meta-SAE.

    Raises:
        UserError: when the meta-SAE encodes directions of another width than the SAE's.
    """

    sae: SparseAutoencoder
    meta: SparseAutoencoder

    def __post_init__(self) -> None:
        if self.meta.d_in != self.sae.d_in:
            raise UserError(
                f"The meta-SAE reads directions of width {self.meta.d_in}, but the SAE's decoder "
                f"directions have width {self.sae.d_in}; choose the meta-SAE trained on this SAE."
            )

    @property
    def n_latents(self) -> int:
        """Number of the SAE's latents."""
        return self.sae.width

    @property
    def n_meta(self) -> int:
        """Number of meta-latents."""
        return self.meta.width

    @cached_property
    def activations(self) -> Float[Tensor, "F M"]:
        """Activation of every meta-latent on every latent's decoder direction, sparse (CSR)."""
        # A few rows at a time: an SAE of a million latents has no room for the dense matrix.
        row, column, value, begin = [], [], [], 0
        for part in self.sae.W_dec.split(_ROWS):
            acts = self.meta.encode(part)
            places = acts.nonzero()
            row.append(places[:, 0] + begin)
            column.append(places[:, 1])
            value.append(acts[places[:, 0], places[:, 1]])
            begin += len(part)
        shape = (self.n_latents, self.n_meta)
        return _csr(torch.cat(row), torch.cat(column), torch.cat(value), shape)

    @cached_property
    def _by_meta(self) -> Float[Tensor, "M F"]:
        acts = self.activations
        counts = acts.crow_indices().diff()
        row = torch.arange(self.n_latents).repeat_interleave(counts)
        order = torch.argsort(acts.col_indices(), stable=True)
        return _csr(
            acts.col_indices()[order],
            row[order],
            acts.values()[order],
            (self.n_meta, self.n_latents),
        )

    def check(self, latent: int) -> None:
        """Refuse a latent the SAE doesn't have.

        Raises:
            UserError: for a latent out of range.
        """
        if not 0 <= latent < self.n_latents:
            raise UserError(
                f"There is no latent {latent}: this SAE has the latents 0 to {self.n_latents - 1}."
            )

    def check_meta(self, meta: int) -> None:
        """Refuse a meta-latent the meta-SAE doesn't have.

        Raises:
            UserError: for a meta-latent out of range.
        """
        if not 0 <= meta < self.n_meta:
            raise UserError(
                f"There is no meta-latent {meta}: this meta-SAE has the meta-latents 0 to "
                f"{self.n_meta - 1}."
            )

    def pieces(self, latent: int) -> dict[int, float]:
        """Meta-latents active on a latent's decoder direction → activation, strongest first.

        Raises:
            UserError: for a latent out of range.
        """
        self.check(latent)
        return _row(self.activations, latent)

    def latents_of(self, meta: int) -> dict[int, float]:
        """Latents a meta-latent is active on → activation, strongest first.

        Raises:
            UserError: for a meta-latent out of range.
        """
        self.check_meta(meta)
        return _row(self._by_meta, meta)

    def rebuilt(self, latent: int, changes: Mapping[int, float]) -> Float[Tensor, " D"]:
        """The meta-SAE's reconstruction of a latent's direction with some activations changed.

        Args:
            changes: meta-latent → its activation in the rebuilt direction; the others keep theirs.

        Raises:
            UserError: for a latent out of range.
        """
        acts = self.pieces(latent) | dict(changes)
        index = torch.tensor(list(acts), dtype=torch.int64)
        values = torch.tensor(list(acts.values()))
        return values @ self.meta.W_dec[index] + self.meta.b_dec

    def unexplained(self, latents: Sequence[int]) -> float:
        """Share of latents' squared direction lengths not reconstructed: Σ‖d − d̂‖² / Σ‖d‖².

        Raises:
            UserError: for a latent out of range.
        """
        directions = self.sae.W_dec[list(latents)]
        left = directions - torch.stack([self.rebuilt(latent, {}) for latent in latents])
        return float(left.square().sum() / directions.square().sum())


def _csr(row: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR matrix from entries in the order of their rows."""
    start = row_starts(row, shape[0])
    return torch.sparse_csr_tensor(start, column, value, shape, check_invariants=False)


def _row(matrix: Float[Tensor, "R C"], row: int) -> dict[int, float]:
    """One row of a CSR matrix as column → value, largest first."""
    begin, end = matrix.crow_indices()[row : row + 2].tolist()
    columns = matrix.col_indices()[begin:end].tolist()
    values = matrix.values()[begin:end].tolist()
    return dict(sorted(zip(columns, values, strict=True), key=lambda pair: -pair[1]))
