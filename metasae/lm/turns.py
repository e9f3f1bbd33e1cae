"""Turns at a model: a lock that is handed on in the order it was asked for, and says who is before.

Threads that share a model wait for it in a line. `threading.RLock` goes to whichever thread is
awake: a search that lets go and asks again at once would keep all others out.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SILENT = 0.5
"""Seconds of waiting after which it is said that one waits."""

LATELY = 3.0
"""Seconds for which a lock that went from one thread to another counts as shared."""

Told = Callable[[int], object]
"""``told(before)``: how many have their turn before the thread that waits; 0 once it is its own."""

_told: ContextVar[Told | None] = ContextVar("told", default=None)


@contextmanager
def telling(told: Told) -> Iterator[None]:
    """Have this thread told how many are before it, in its waits that last.

    Args:
        told: called in the thread that waits, after `SILENT` seconds and when somebody's turn has
            ended; raising in it leaves the line.
    """
    before = _told.set(told)
    try:
        yield
    finally:
        _told.reset(before)


class _Place:
    """A thread's place in the line."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.called = threading.Event()


class Turns:
    """A lock for one thread at a time, which may take it again; first come, first served.

    Used as a context, like `threading.RLock`.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[_Place] = deque()
        self._holder: int | None = None
        self._depth = 0
        self._last: int | None = None
        self._passed_on = -LATELY

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._mutex:
            if self._holder == me:
                self._depth += 1
                return
            place = None
            if self._holder is None:
                self._take(me)
            else:
                place = _Place()
                self._line.append(place)
        if place is not None:
            self._wait(place)

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._depth -= 1
            if not self._depth:
                self._pass_on()

    def give_way(self) -> None:
        """Let those who wait have their turns first; at once where nobody does.

        Called by the thread whose turn it is, between two steps of long work.
        """
        with self._mutex:
            if not self._line:
                return
            depth, place = self._depth, _Place()
            self._line.append(place)
            self._pass_on()
        place.called.wait()
        self._depth = depth

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._line)

    @property
    def shared(self) -> bool:
        """Whether more than one thread has had its turn lately."""
        return bool(self._line) or time.monotonic() - self._passed_on < LATELY

    def _take(self, thread: int) -> None:
        self._holder, self._depth = thread, 1
        if self._last not in (None, thread):
            self._passed_on = time.monotonic()
        self._last = thread

    def _pass_on(self) -> None:
        self._holder = None
        if self._line:
            place = self._line.popleft()
            self._take(place.thread)
            place.called.set()

    def _wait(self, place: _Place) -> None:
        told, said = _told.get(), 0
        try:
            while not place.called.wait(None if told is None else SILENT):
                before = self._before(place)
                if told is not None and before and before != said:
                    said = before
                    told(before)
            if told is not None and said:
                told(0)
        except BaseException:
            with self._mutex:
                if place.called.is_set():
                    self._pass_on()
                else:
                    self._line.remove(place)
            raise

    def _before(self, place: _Place) -> int:
        """How many have their turn before a place in the line, who has it now included."""
        with self._mutex:
            return 1 + self._line.index(place) if place in self._line else 0
