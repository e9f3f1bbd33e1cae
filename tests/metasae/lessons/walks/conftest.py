"""Benches that lessons are taught on: the real default's, and a small lab's."""

import pytest

from metasae.lab.lab import POST_PAIR, Lab
from metasae.lessons.bench import Bench
from tests.benches import bench


@pytest.fixture(scope="module")
def taught(lab: Lab) -> Bench:
    """The post's pair on the real default."""
    return bench(lab, *POST_PAIR)


@pytest.fixture
def small(small_lab: Lab) -> Bench:
    """The pair a small lab opens on; nothing of it is made yet."""
    return bench(small_lab)
