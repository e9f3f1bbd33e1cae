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

    def count(self, who: str | None = None) -> int:
        """How often of late.

        Args:
            who: by whom; by anybody when left out.
        """
        with self._lock:
            while self._done and time.monotonic() - self._done[0][0] > self.seconds:
                self._done.popleft()
            return sum(who in (None, one) for _, one in self._done)
