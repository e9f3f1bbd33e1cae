"""A test's own process computes as those that it starts."""

from collections.abc import Iterator

import pytest

from metasae.lm import matmul
from tests.faults.child import ALIKE


@pytest.fixture
def as_the_children(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See `child.ALIKE`."""
    matmul.fast_dtype.cache_clear()
    for module, name, value in ALIKE:
        monkeypatch.setattr(module, name, value)
    yield
    matmul.fast_dtype.cache_clear()
