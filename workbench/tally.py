"""What was done of late, and by whom: a count that a page loaded anew doesn't begin anew."""

import threading
import time
from collections import deque


class Tally:
    """Who did something, and when.

    Attributes:
        seconds: for which it is counted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._done: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()

    def add(self, who: str = "") -> None:
        """Once more, now."""
        with self._lock:
            self._done.append((time.monotonic(), who))

    def add_below(self, most: int, who: str = "") -> bool:
        """Once more, now, unless it is as often of late as may be; whether it was."""
        with self._lock:
            self._forget()
            if self._count(who) >= most:
                return False
            self._done.append((time.monotonic(), who))
            return True

    def count(self, who: str | None = None) -> int:
        """How often of late.

        Args:
            who: by whom; by anybody when left out.
        """
        with self._lock:
            self._forget()
            return self._count(who)

    def _forget(self) -> None:
        while self._done and time.monotonic() - self._done[0][0] > self.seconds:
            self._done.popleft()

    def _count(self, who: str | None) -> int:
        return sum(who in (None, one) for _, one in self._done)
