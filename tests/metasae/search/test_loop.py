"""The loop of every search, on chunks made by hand."""

import threading
from collections.abc import Iterator

import numpy as np
import torch

from metasae.search.loop import gather
from metasae.search.patterns import BestByPattern, Chunk
from metasae.steering.verdict import OTHER


def chunk(begin: int, patterns: list[int], margins: list[float]) -> Chunk:
    numbers = np.arange(begin, begin + len(patterns))
    return Chunk(numbers, torch.zeros(len(patterns), 1), np.array(patterns), np.array(margins))


CHUNKS = (
    chunk(0, [0, 1, OTHER], [0.5, 1.0, 9.0]),
    chunk(3, [1, 2], [2.0, 0.5]),
    chunk(5, [2, 1], [0.25, 2.0]),
)


def test_everything_is_seen_kept_and_passed_on_in_order() -> None:
    best, taken = BestByPattern(), list[Chunk]()
    assert gather(CHUNKS, best, taken.append)
    assert [one is other for one, other in zip(taken, CHUNKS, strict=True)] == [True] * 3
    # The clearest of each pattern, the first of equals.
    assert best.best() == {0: 0, 1: 3, 2: 4}
    assert best.counts == {0: 1, 1: 3, 2: 2, OTHER: 1} and best.seen == 7


def test_without_a_sink_the_best_are_kept_alone() -> None:
    best = BestByPattern()
    assert gather(iter(CHUNKS), best)
    assert best.best() == {0: 0, 1: 3, 2: 4}
    assert gather([], BestByPattern())


def test_a_chunk_is_kept_before_it_is_passed_on_and_before_the_next_is_scored() -> None:
    best, order = BestByPattern(), list[str]()

    def coming() -> Iterator[Chunk]:
        for number, one in enumerate(CHUNKS):
            order.append(f"scored {number}")
            yield one

    def sink(taken: Chunk) -> None:
        order.append(f"taken, {best.seen} seen")

    assert gather(coming(), best, sink)
    assert order == [
        "scored 0", "taken, 3 seen", "scored 1", "taken, 5 seen", "scored 2", "taken, 7 seen",
    ]  # fmt: skip


def test_cancelling_stops_before_the_next_chunk_is_scored() -> None:
    best, scored, cancelled = BestByPattern(), list[int](), threading.Event()

    def coming() -> Iterator[Chunk]:
        for number, one in enumerate(CHUNKS):
            scored.append(number)
            yield one

    def sink(taken: Chunk) -> None:
        if 3 in taken.numbers:
            cancelled.set()

    assert not gather(coming(), best, sink, cancelled)
    assert scored == [0, 1] and best.seen == 5
    # Set before it begins: nothing is scored at all.
    assert not gather(coming(), best, sink, cancelled)
    assert scored == [0, 1] and best.seen == 5


def test_cancelling_during_the_last_chunk_is_a_stop() -> None:
    cancelled = threading.Event()
    assert not gather(CHUNKS[:1], BestByPattern(), lambda _: cancelled.set(), cancelled)
