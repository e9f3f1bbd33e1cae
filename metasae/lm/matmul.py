"""Matrix products: the precision and the library that are fastest on this processor.

PyTorch multiplies fp32 matrices with MKL, which on some processors reaches less than half the
speed of oneDNN, the library it multiplies bf16 matrices with. Both come with it, so both are timed
and the faster one is used.
"""

import functools
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

_log = logging.getLogger(__name__)

# oneDNN keeps code and scratch memory for each shape it has multiplied, up to 1,024 of them, which
# is most of a gigabyte after searches on many pairs. An edit needs some dozens.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")

_ROWS = 256
"""Number of rows for which oneDNN chooses a weight's layout; other numbers work as well."""


@dataclass(frozen=True)
class Choices:
    """What was fastest where it was timed. Sums are rounded by it, so a process that is to compute
    the same numbers as another takes the other's.

    Attributes:
        dtype: see `fast_dtype`.
        of_products: see `fast_dtype_of_products`.
        laid_out: the precisions for which `laid_out_is_faster`.
    """

    dtype: torch.dtype
    of_products: torch.dtype
    laid_out: frozenset[torch.dtype]

    @staticmethod
    def here() -> "Choices":
        """This process's own, timed where they were not yet."""
        both = (torch.float32, torch.bfloat16)
        laid_out = frozenset(filter(laid_out_is_faster, both))
        return Choices(fast_dtype(), fast_dtype_of_products(), laid_out)

    def take(self) -> None:
        """Make them this process's, before it opens a model."""
        _taken[:] = [self]
        for choice in (fast_dtype, fast_dtype_of_products, laid_out_is_faster):
            choice.cache_clear()


_taken: list[Choices] = []
"""Those of another process, if any were taken."""


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """Shortest wall-clock time of a few calls, in seconds, after one that is not timed."""
    run()
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return min(took)


@functools.cache
def fast_dtype() -> torch.dtype:
    """bf16 where this processor multiplies matrices at least 1.5 times as fast in it, else fp32.

    Timed once a process, so that everything in it is computed in the same precision.
    """
    if _taken:
        return _taken[0].dtype
    a = torch.randn(1024, 1024)
    b = a.bfloat16()
    return _faster(lambda: b @ b, lambda: a @ a)


@functools.cache
def fast_dtype_of_products() -> torch.dtype:
    """The same choice as `fast_dtype` for a `Product`, which may be faster than others in fp32."""
    if _taken:
        return _taken[0].of_products
    a = torch.randn(1024, 1024)
    fp32, bf16, b = Product(a), Product(a.bfloat16()), a.bfloat16()
    return _faster(lambda: bf16(b), lambda: fp32(a))


def _faster(bf16: Callable[[], object], fp32: Callable[[], object]) -> torch.dtype:
    return torch.bfloat16 if 1.5 * seconds(bf16) < seconds(fp32) else torch.float32


@functools.cache
def laid_out_is_faster(dtype: torch.dtype) -> bool:
    """Whether oneDNN's own layout of a weight makes products faster than PyTorch's choice."""
    if _taken:
        return dtype in _taken[0].laid_out
    with torch.inference_mode():
        x = torch.randn(_ROWS, 1024).to(dtype)
        weight = torch.randn(1024, 1024).to(dtype)
        try:
            laid_out = _laid_out(weight)
            return seconds(lambda: _onednn(x, laid_out)) < seconds(lambda: linear(x, weight))
        except (AttributeError, RuntimeError):  # a build or a processor without oneDNN
            _log.info("oneDNN can't lay out weights here; PyTorch chooses", exc_info=True)
            return False


def _laid_out(weight: Float[Tensor, "O I"]) -> Tensor:
    made: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
    return made


def _onednn(x: Float[Tensor, "N I"], laid_out: Tensor) -> Float[Tensor, "N O"]:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, laid_out, None, "none", [], "")
    return made


class Product:
    """Multiplies rows with one weight many times: x ↦ x · Wᵀ, in the weight's precision."""

    def __init__(self, weight: Float[Tensor, "O I"]) -> None:
        self._onednn = laid_out_is_faster(weight.dtype)
        self._width = len(weight)
        with torch.inference_mode():
            self._weight = _laid_out(weight) if self._onednn else weight.contiguous()

    @torch.inference_mode()
    def __call__(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Product of rows with the weight, in the weight's precision."""
        if not self._onednn:
            return linear(x, self._weight)
        return _onednn(x.reshape(-1, x.shape[-1]), self._weight).view(*x.shape[:-1], self._width)
