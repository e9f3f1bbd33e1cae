"""Where the rows of a sparse matrix begin."""

import torch
from jaxtyping import Int
from torch import Tensor


def row_starts(row: Int[Tensor, " E"], rows: int) -> Int[Tensor, " R+1"]:
    """Where each row's entries begin (CSR), of entries in the order of their rows."""
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return start
