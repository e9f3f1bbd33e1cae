"""The sparse loss and its gradients, written by hand and checked against autograd in the tests.

One dense product finds the candidates; everything after it works on the selected entries only:
their activations in fp32, the reconstruction, the gradients.

Shapes: B rows of a batch, D their width, F latents, E selected (row, latent) entries.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.saes.csr import row_starts
from metasae.saes.selection import Entries


@dataclass
class Parameters:
    """The weights that are trained; decoder rows are unit vectors after every step."""

    W_enc: Float[Tensor, "F D"]
    b_enc: Float[Tensor, " F"]
    W_dec: Float[Tensor, "F D"]
    b_dec: Float[Tensor, " D"]

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, in a fixed order."""
        return {
            "W_enc": self.W_enc,
            "b_enc": self.b_enc,
            "W_dec": self.W_dec,
            "b_dec": self.b_dec,
        }


ExtraGradient = Callable[[Float[Tensor, "B D"], float], Float[Tensor, "B D"]]
"""``gradient(recon, squared)``: gradient of a further loss with respect to the reconstruction;
``squared`` is the loss beside it, so that the two can be weighed."""


@dataclass(frozen=True)
class StepResult:
    """Result of a step.

    Attributes:
        loss: mean squared norm of a row's residual, ‖x − x̂‖².
        l0: mean number of active latents a row.
        gradients: by the name of the weight (`Parameters.tensors`).
        active: latents active on some row.
    """

    loss: float
    l0: float
    gradients: dict[str, Tensor]
    active: Int[Tensor, " A"]


def loss_and_gradients(
    p: Parameters,
    x: Float[Tensor, "B D"],
    entries: Entries,
    dead: Int[Tensor, " M"] | None = None,
    auxiliary: float = 0.0,
    auxiliary_k: int = 256,
    extra_gradient: ExtraGradient | None = None,
) -> StepResult:
    """The loss of a batch and its exact gradients.

    The loss is the mean over the rows of ‖x − x̂‖², plus ``auxiliary`` times the mean of ‖r − r̂‖²,
    where r = x − x̂ is held constant and r̂ is its reconstruction from the activations of the dead
    latents alone.

    Args:
        entries: the selected (row, latent) entries.
        dead: latents that count as dead.
        auxiliary: weight of the auxiliary loss.
        auxiliary_k: most dead latents a row that take part in it.
        extra_gradient: gradient of a further loss, which is not part of the result's ``loss``.
    """
    batch, width = len(x), len(p.W_dec)
    by_row = _Sparse.of(entries.row, entries.latent, batch)
    xc = x - p.b_dec
    pre = by_row.dots(xc, p.W_enc) + p.b_enc[by_row.column]
    value = pre.relu()
    summed = by_row.weighted_sums(value, p.W_dec)
    # In place: fresh memory of this size costs more than the subtraction.
    left = torch.sub(xc, summed, out=summed)
    loss = float(torch.linalg.vector_norm(left).square() / batch)
    # The factor goes onto the few sums that are made of the gradient, not onto all of it.
    grad_recon, factor = left, -2.0 / batch
    if extra_gradient is not None:
        grad_recon, factor = left * factor + extra_gradient(x - left, loss), 1.0
    grad_pre = by_row.dots(grad_recon, p.W_dec).mul_(factor) * (pre > 0)
    order, by_latent = by_row.transposed(width)
    b_enc = torch.zeros_like(p.b_enc).index_add_(0, by_row.column, grad_pre)
    gradients = {
        "W_enc": by_latent.weighted_sums(grad_pre[order], xc),
        "b_enc": b_enc,
        "W_dec": by_latent.weighted_sums(factor * value[order], grad_recon),
        "b_dec": factor * grad_recon.sum(0) - b_enc @ p.W_enc,
    }
    if dead is not None and len(dead):
        W_enc, W_dec = p.W_enc[dead], p.W_dec[dead]
        acts = (xc @ W_enc.T + p.b_enc[dead]).relu()
        if len(dead) > auxiliary_k:
            kept = acts.topk(auxiliary_k, dim=1)
            acts = torch.zeros_like(acts).scatter_(1, kept.indices, kept.values)
        missing = acts @ W_dec - left
        grad_missing = missing * (2.0 * auxiliary / batch)
        grad_acts = (grad_missing @ W_dec.T) * (acts > 0)
        gradients["W_enc"].index_add_(0, dead, grad_acts.T @ xc)
        gradients["b_enc"].index_add_(0, dead, grad_acts.sum(0))
        gradients["W_dec"].index_add_(0, dead, acts.T @ grad_missing)
        gradients["b_dec"] -= (grad_acts @ W_enc).sum(0)
    active = by_row.column[value > 0]
    return StepResult(loss, len(active) / batch, gradients, active.unique())


@dataclass(frozen=True)
class _Sparse:
    """Positions of a sparse matrix's entries in CSR form.

    Every operation reads the dense rows it needs where they lie; gathering them first would move
    ten times as many bytes.
    """

    start: Int[Tensor, " R+1"]
    row: Int[Tensor, " E"]
    column: Int[Tensor, " E"]

    @staticmethod
    def of(row: Int[Tensor, " E"], column: Int[Tensor, " E"], rows: int) -> "_Sparse":
        """From entries in the order of their rows."""
        return _Sparse(row_starts(row, rows), row, column)

    def transposed(self, columns: int) -> tuple[Int[Tensor, " E"], "_Sparse"]:
        """The entries' order by column, and the transposed matrix in that order."""
        if self.column.device.type == "cpu":
            # NumPy sorts 16-bit integers by radix, which is much the fastest there is.
            keys = self.column.numpy()
            keys = keys.astype(np.uint16) if columns <= 1 << 16 else keys
            order = torch.from_numpy(np.argsort(keys, kind="stable"))
        else:
            order = torch.argsort(self.column, stable=True)
        return order, _Sparse.of(self.column[order], self.row[order], columns)

    def dots(self, left: Float[Tensor, "R D"], right: Float[Tensor, "C D"]) -> Float[Tensor, " E"]:
        """For every entry the product of its row of ``left`` and its column's row of ``right``."""
        places = torch.sparse_csr_tensor(
            self.start,
            self.column,
            torch.zeros(len(self.column), device=left.device),
            (len(left), len(right)),
            check_invariants=False,
        )
        return torch.sparse.sampled_addmm(places, left, right.T, beta=0.0).values()

    def weighted_sums(
        self, weights: Float[Tensor, " E"], rows: Float[Tensor, "C D"]
    ) -> Float[Tensor, "R D"]:
        """For every row the weighted sum of its columns' ``rows``."""
        return torch.nn.functional.embedding_bag(
            self.column,
            rows,
            self.start,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )
