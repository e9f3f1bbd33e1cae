"""Directions several files of tests train on."""

import pytest

from metasae.saes.directions import Directions
from tests.metasae.training.planted import rows


@pytest.fixture
def directions() -> Directions:
    return Directions(("one", "two"), (rows()[:300], rows()[300:]))
