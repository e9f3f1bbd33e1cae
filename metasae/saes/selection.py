"""Selection of the active latents: the k largest of a row, or the k·B largest of a batch.

Shapes: B rows of a batch, F latents, E selected (row, latent) entries.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Entries:
    """Selected (row, latent) entries of a batch, in the order of the rows."""

    row: Int[Tensor, " E"]
    latent: Int[Tensor, " E"]


_GROUP = 64
"""Columns whose maximum decides together whether `select_topk` looks at them."""

_SAMPLE = 50_000
"""About how many entries of a batch `select_batch_topk` takes its first bound from."""


def select_topk(pre: Float[Tensor, "B F"], k: int) -> Entries:
    """The k largest pre-activations of every row, exactly.

    A row's k largest entries lie in the k groups of columns with the largest maxima, so most
    columns are read once, for their group's maximum.
    """
    rows, width = pre.shape
    if width % _GROUP or width < 4 * k * _GROUP:
        latent = pre.topk(k, dim=1).indices
    else:
        grouped = pre.view(rows, width // _GROUP, _GROUP)
        groups = grouped.amax(dim=2).topk(k, dim=1).indices
        inside = grouped.gather(1, groups[..., None].expand(-1, -1, _GROUP)).flatten(1)
        place = inside.topk(k, dim=1).indices
        latent = groups.gather(1, place // _GROUP) * _GROUP + place % _GROUP
    row = torch.arange(rows, device=pre.device)[:, None].expand(-1, k)
    return Entries(row.flatten(), latent.flatten())


def select_batch_topk(pre: Float[Tensor, "B F"], k: int) -> Entries:
    """The k·B largest pre-activations of the whole batch (BatchTopK, arXiv 2412.06410).

    Of equal entries at the cut the first are taken.
    """
    flat, count = pre.flatten(), k * len(pre)
    # A bound from a sample of the batch leaves about three times as many entries as are wanted;
    # if it was too high (fewer are left than wanted), all are looked at.
    sample = flat[:: max(1, len(flat) // _SAMPLE)]
    rank = min(len(sample), -(-3 * count * len(sample) // len(flat)))
    left = _at_least(flat, sample.topk(rank).values[-1])
    if len(left) < count:
        left = torch.arange(len(flat), device=pre.device)
    values = flat[left].float()
    cut = kth_largest(values, count)
    keep = values > cut
    ties = (values == cut).nonzero()[:, 0]
    keep[ties[: count - int(keep.sum())]] = True
    chosen = left[keep]
    return Entries(chosen // pre.shape[1], chosen % pre.shape[1])


def _at_least(flat: Float[Tensor, " N"], bound: Float[Tensor, ""]) -> Int[Tensor, " n"]:
    """Indices of the entries at or above a bound, ascending."""
    if flat.device.type != "cpu":
        return (flat >= bound).nonzero()[:, 0]
    if flat.dtype == torch.bfloat16 and bound > 0:
        # The bits of positive floats are ordered as integers are, and those of negative ones are
        # negative; bf16 itself would be converted entry by entry. NumPy is the faster at both.
        bits = flat.view(torch.int16).numpy()
        return torch.from_numpy(np.flatnonzero(bits >= int(bound.view(torch.int16))))
    return torch.from_numpy(np.flatnonzero((flat >= bound).numpy()))


def kth_largest(values: Float[Tensor, " N"], k: int) -> Float[Tensor, ""]:
    """The k-th largest of some values."""
    if values.device.type != "cpu":
        return values.topk(k).values[-1]
    place = len(values) - k
    return torch.tensor(np.partition(values.numpy(), place)[place])
