"""That garbage in cycles goes, and that what stays is not walked through again and again."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from workbench import memory


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def forgotten() -> "weakref.ref[Ring]":
    return weakref.ref(Ring())


def test_what_is_there_to_stay_is_no_longer_walked_through() -> None:
    stays = Ring()
    memory.settle()
    assert gc.get_freeze_count() > 10_000
    assert not any(one is stays for one in gc.get_objects())
    memory.stir()
    assert any(one is stays for one in gc.get_objects())


def test_rings_go_by_themselves_within_a_few_clicks() -> None:
    memory.settle()
    ring = forgotten()
    # Old by now: two collections of the young ones have passed it by, were it in use.
    kept: list[list[list[object]]] = []
    for _ in range(200):
        kept.append([[] for _ in range(1000)])
        if ring() is None:
            break
    assert ring() is None


def test_what_was_settled_and_then_left_goes_after_a_stir_or_the_next_settling() -> None:
    for by in (memory.stir, memory.settle):
        ring = Ring()
        gone = weakref.ref(ring)
        memory.settle()
        del ring
        gc.collect()
        assert gone() is not None
        by()
        gc.collect()
        assert gone() is None


def test_memory_goes_to_the_system_after_a_collection_of_everything_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trimmed: list[int] = []

    class Library:
        def __init__(self, name: None) -> None:
            pass

        def malloc_trim(self, pad: int) -> None:
            trimmed.append(pad)

    monkeypatch.setattr(memory.ctypes, "CDLL", Library)
    for phase, generation in (("start", 2), ("stop", 0), ("stop", 1), ("stop", 2)):
        memory._collected(phase, {"generation": generation})
    assert trimmed == [0]
    # No such function in another C library.
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory._collected("stop", {"generation": 2})
