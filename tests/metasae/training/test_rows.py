"""Rows by index, and all of them in parts."""

import numpy as np
import pytest
import torch

from metasae.training.rows import TensorRows, parts_of, width_of

ROWS = torch.arange(30.0).reshape(10, 3)


def test_rows_come_in_the_order_asked() -> None:
    rows = TensorRows(ROWS)
    assert (len(rows), width_of(rows)) == (10, 3)
    assert torch.equal(rows.rows(np.array([7, 0, 7])), ROWS[[7, 0, 7]])


@pytest.mark.parametrize("x", [ROWS, TensorRows(ROWS)])
@pytest.mark.parametrize("chunk", [1, 4, 10, 99])
def test_parts_are_all_rows_in_order(x: torch.Tensor | TensorRows, chunk: int) -> None:
    parts = list(parts_of(x, chunk))
    assert torch.equal(torch.cat(parts), ROWS)
    assert {len(part) for part in parts[:-1]} <= {chunk} and len(parts[-1]) <= chunk
