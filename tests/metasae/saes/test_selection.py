"""TopK and BatchTopK select what plain ones select."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes import selection
from metasae.saes.selection import kth_largest, select_batch_topk, select_topk

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("width", "k"), [(1024, 3), (1024, 4), (640, 2), (37, 5), (300, 1)])
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


def places(pre: torch.Tensor, k: int) -> list[tuple[int, int]]:
    entries = select_batch_topk(pre, k)
    return list(zip(entries.row.tolist(), entries.latent.tolist(), strict=True))


def test_of_equal_entries_the_first_are_taken() -> None:
    pre = torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.0, 2.0], [0.5, 1.0, 1.0]])
    # Two 2s, and the first four of the five 1s.
    assert places(pre, 2) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shift", [0.0, -9.0, 1.0])
@pytest.mark.parametrize("sample", [1, 7, 40, 10**6])
def test_a_bound_from_few_entries_leaves_none_out(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, shift: float, sample: int
) -> None:
    monkeypatch.setattr(selection, "_SAMPLE", sample)
    order = torch.randperm(240, generator=torch.Generator().manual_seed(0))
    # Even steps, which bf16 holds exactly, so that no two are equal.
    pre = (order / 16 + shift).to(dtype).reshape(6, 40)
    largest = (order >= 240 - 12).reshape(6, 40)
    assert places(pre, 2) == [(row, latent) for row, latent in largest.nonzero().tolist()]
    # As many as there are.
    assert len(places(pre, 40)) == 240


def test_the_largest_sampled_may_be_the_largest_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_SAMPLE", 4)
    # Of sixteen every fourth is looked at: they are larger than what else is to be found.
    pre = torch.ones(1, 16)
    pre[0, ::4] = 5.0
    pre[0, [1, 2]] = 3.0
    assert places(pre, 6) == [(0, n) for n in (0, 1, 2, 4, 8, 12)]


def test_the_kth_largest() -> None:
    values = torch.tensor([3.0, 9.0, 1.0, 9.0, 5.0])
    assert [float(kth_largest(values, k)) for k in range(1, 6)] == [9.0, 9.0, 5.0, 3.0, 1.0]
