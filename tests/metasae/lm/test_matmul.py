"""Products by either library, against a plain one."""

from typing import Any

import pytest
import torch

from metasae.lm import matmul
from metasae.lm.matmul import (
    Choices,
    Product,
    fast_dtype,
    fast_dtype_of_products,
    laid_out_is_faster,
    seconds,
)


@pytest.mark.parametrize("laid_out", [True, False])
@pytest.mark.parametrize("rows", [(1,), (7,), (300,), (3, 5), (0,)])
def test_a_product_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, laid_out: bool, rows: tuple[int, ...]
) -> None:
    if laid_out and not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(matmul, "laid_out_is_faster", lambda dtype: laid_out)
    weight, x = torch.randn(24, 40), torch.randn(*rows, 40)
    found = Product(weight)(x)
    assert found.shape == (*rows, 24)
    torch.testing.assert_close(found, x @ weight.T, rtol=1e-5, atol=1e-5)


def test_rows_need_not_lie_behind_each_other() -> None:
    weight, x = torch.randn(24, 40), torch.randn(40, 9, 2)
    found = Product(weight)(x.transpose(0, 2))
    torch.testing.assert_close(found, x.transpose(0, 2) @ weight.T, rtol=1e-5, atol=1e-5)


def test_bf16_stays_bf16() -> None:
    weight, x = torch.randn(24, 40).bfloat16(), torch.randn(5, 40).bfloat16()
    found = Product(weight)(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), x.float() @ weight.float().T, rtol=2e-2, atol=5e-2)


def test_without_onednn_products_are_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_weight: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no oneDNN here")

    laid_out_is_faster.cache_clear()
    monkeypatch.setattr(matmul, "_laid_out", none)
    try:
        assert not laid_out_is_faster(torch.float32)
        weight, x = torch.randn(3, 4), torch.randn(2, 4)
        torch.testing.assert_close(Product(weight)(x), x @ weight.T)
    finally:
        laid_out_is_faster.cache_clear()


@pytest.mark.parametrize("choose", [fast_dtype, fast_dtype_of_products])
def test_bf16_is_chosen_where_it_is_half_again_as_fast(
    monkeypatch: pytest.MonkeyPatch, choose: Any
) -> None:
    monkeypatch.setattr(matmul, "laid_out_is_faster", lambda dtype: False)
    for ratio, chosen in ((1.4, torch.float32), (1.6, torch.bfloat16)):
        took = iter((1.0, ratio))  # bf16 is timed first
        monkeypatch.setattr(matmul, "seconds", lambda run, took=took: next(took))
        assert choose.__wrapped__() == chosen


def test_seconds_are_the_shortest_of_the_calls_after_the_first() -> None:
    calls: list[int] = []
    assert 0 <= seconds(lambda: calls.append(1), 3) < 1
    assert len(calls) == 4


def test_the_precision_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = fast_dtype()
    monkeypatch.setattr(matmul, "seconds", lambda run: pytest.fail("timed again"))
    assert fast_dtype() == chosen


@pytest.mark.parametrize("other", [torch.float32, torch.bfloat16])
def test_anothers_choices_are_taken_whatever_is_fast_here(
    monkeypatch: pytest.MonkeyPatch, other: torch.dtype
) -> None:
    timed = Choices.here()
    assert timed.dtype == fast_dtype() and timed.of_products == fast_dtype_of_products()
    assert (torch.float32 in timed.laid_out) == laid_out_is_faster(torch.float32)
    monkeypatch.setattr(matmul, "_taken", [])
    monkeypatch.setattr(matmul, "seconds", lambda run: pytest.fail("timed again"))
    theirs = Choices(other, other, frozenset({other}))
    try:
        theirs.take()
        assert (fast_dtype(), fast_dtype_of_products()) == (other, other)
        both = (torch.float32, torch.bfloat16)
        assert [one for one in both if laid_out_is_faster(one)] == [other]
        assert Choices.here() == theirs
    finally:
        matmul._taken.clear()
        for choice in (fast_dtype, fast_dtype_of_products, laid_out_is_faster):
            choice.cache_clear()
