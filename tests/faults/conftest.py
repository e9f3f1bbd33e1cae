"""A test's own process computes as those that it starts."""

from collections.abc import Iterator

import pytest

from metasae.lm import matmul
from tests.faults.child import ALIKE


@pytest.fixture
def as_the_children(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See `child.ALIKE`."""
    _forget_precisions()
    for module, name, value in ALIKE:
        monkeypatch.setattr(module, name, value)
    yield
    _forget_precisions()


def _forget_precisions() -> None:
    """Have them chosen anew: an earlier test may have timed them."""
    matmul.fast_dtype.cache_clear()
    matmul.fast_dtype_of_products.cache_clear()
