"""The row pointers of a sparse matrix in CSR form."""

import torch
from jaxtyping import Int
from torch import Tensor


def row_starts(row: Int[Tensor, " E"], rows: int) -> Int[Tensor, " R+1"]:
    """CSR row pointers of R rows: where each row's entries begin and, last, where they end.

    Args:
        row: each entry's row, ascending.
        rows: number of rows, R.
    """
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return start
