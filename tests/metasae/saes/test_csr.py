"""Row pointers by hand."""

import torch

from metasae.saes.csr import row_starts


def test_rows_begin_where_the_one_before_ends() -> None:
    # Row 1 has no entries, and neither has the last one.
    starts = row_starts(torch.tensor([0, 0, 2, 3, 3, 3]), 5)
    assert starts.tolist() == [0, 2, 2, 3, 6, 6] and starts.dtype == torch.int64
    assert row_starts(torch.tensor([], dtype=torch.int64), 2).tolist() == [0, 0, 0]
