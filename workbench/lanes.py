"""Lanes of work: so much at a time, and what comes later waits its turn and is told its place."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.limits import Limit

_EVERY = 0.25
"""Seconds between two looks at the line."""


class Lane:
    """Work of one kind: the first to come is the first to be done.

    Args:
        at_once: how much runs at a time.
        waiting: how much may wait; as much as comes when left out.
    """

    def __init__(self, at_once: Limit, waiting: Limit | None = None) -> None:
        self._at_once, self._most_waiting = at_once, waiting
        self._changed = threading.Condition()
        self._line: list[object] = []
        self._running = 0

    @contextmanager
    def turn(self, told: Callable[[int], object]) -> Iterator[None]:
        """Wait for a turn, and have it.

        Args:
            told: how many are before, those that have theirs included; called while waiting, and
                raising in it leaves.

        Raises:
            UserError: when as many wait as may.
        """
        place = object()
        with self._changed:
            full = self._running >= self._at_once.most
            if full and self._most_waiting and len(self._line) >= self._most_waiting.most:
                raise self._most_waiting.error()
            self._line.append(place)
        try:
            while True:
                with self._changed:
                    first = self._line[0] is place
                    if first and self._running < self._at_once.most:
                        self._running += 1
                        break
                    self._changed.wait(_EVERY)
                    before = self._line.index(place) + self._running
                told(before)
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
