"""TopK and BatchTopK select what plain ones select."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes.selection import select_batch_topk, select_topk

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("width", "k"), [(1024, 3), (1024, 4), (640, 2), (37, 5)])
def test_topk_selects_what_a_plain_topk_selects(width: int, k: int) -> None:
    pre = torch.randn(50, width)
    entries = select_topk(pre, k)
    dense = torch.zeros(50, width, dtype=torch.bool)
    dense[entries.row, entries.latent] = True
    expected = torch.zeros_like(dense).scatter_(1, pre.topk(k, dim=1).indices, True)
    assert torch.equal(dense, expected)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(2, 30), st.integers(1, 2), st.integers(0, 99))
def test_batch_topk_keeps_the_k_times_b_largest(rows: int, width: int, k: int, seed: int) -> None:
    pre = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    entries = select_batch_topk(pre, k)
    kept = pre[entries.row, entries.latent]
    assert len(kept) == k * rows
    assert len(set(zip(entries.row.tolist(), entries.latent.tolist(), strict=True))) == len(kept)
    mask = torch.ones_like(pre, dtype=torch.bool)
    mask[entries.row, entries.latent] = False
    if mask.any():
        assert kept.min() >= pre[mask].max()
