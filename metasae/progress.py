"""Progress of long work: its stage, the share that is done, and the time left."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[str, float, str], None]
"""``progress(stage, fraction, note)``: the stage in words, the share done (0 to 1), a remark."""


def silent(stage: str, fraction: float, note: str = "") -> None:
    """Ignore a report of progress."""


def duration(seconds: float) -> str:
    """Text of a duration in seconds: ``48 s``, ``3 min 20 s``, ``1 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class TimeLeft:
    """Estimates a stage's remaining time from its pace since it was first reported.

    Args:
        clock: gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._start = (0.0, 0.0)

    def seconds(self, stage: str, fraction: float) -> float | None:
        """Seconds left in ``stage``; None before its second report that shows an advance."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._start = stage, (now, fraction)
            return None
        began, at = self._start
        if fraction <= at or now <= began:
            return None
        return (now - began) / (fraction - at) * (1.0 - fraction)


def to_stream(stream: TextIO | None = None, every: float = 2.0) -> Progress:
    """A `Progress` that writes lines to a stream.

    Args:
        stream: standard error when left out.
        every: least seconds between two lines; a stage's first and last are always written.
    """
    out = stream or sys.stderr
    left = TimeLeft()
    last_stage, last_at = "", 0.0

    def report(stage: str, fraction: float, note: str = "") -> None:
        nonlocal last_stage, last_at
        seconds = left.seconds(stage, fraction)
        now = time.monotonic()
        if stage == last_stage and fraction < 1.0 and now - last_at < every:
            return
        last_stage, last_at = stage, now
        pieces = [f"{stage}: {fraction:4.0%}"]
        if note:
            pieces.append(note)
        if seconds is not None and fraction < 1.0:
            pieces.append(f"{duration(seconds)} left")
        out.write("  ".join(pieces) + "\n")
        out.flush()

    return report
