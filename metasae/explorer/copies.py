"""Which contexts are copies of each other: those that share a run of eight tokens.

A text says many things more than once, and a label that is scored on a copy of what it was made
from is scored on nothing. What is compared is what is shown of a context: `BEFORE` tokens before
its peak and `AFTER` behind it. Where fewer than eight tokens stand up to a peak, the model has read
nothing else there, so all of them together count as a run.

Shapes: N windows, T positions.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metasae.text.windows import Windows

RUN = 8
"""Tokens in a row that two contexts must share to be copies."""

BEFORE, AFTER = 16, 8
"""Most tokens of a context before its peak and behind it."""

Peak = tuple[int, int]
"""Window and position where a context is strongest."""

_FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that no power of it loses a bit of a token."""


def span(peak: int, length: int) -> range:
    """Positions of a context: the tokens around its peak, the start token left out.

    Args:
        length: of its window, the start token included.
    """
    return range(max(1, peak - BEFORE), min(length, peak + AFTER + 1))


@dataclass(frozen=True)
class CopyFinder:
    """Tells copies among the contexts of a text."""

    text: Windows

    @cached_property
    def _ending(self) -> np.ndarray:
        """(N, T): a hash of the last `RUN` tokens up to each position, or of all where there are
        fewer."""
        # One more than the token: before the window's first stand zeros, which no token is.
        tokens = self.text.tokens.numpy().astype(np.uint64) + 1
        ending = np.zeros_like(tokens)
        with np.errstate(over="ignore"):
            for back in range(min(RUN, tokens.shape[1] - 1)):
                power = np.uint64(pow(_FACTOR, back + 1, 2**64))
                ending[:, 1 + back :] += tokens[:, 1 : tokens.shape[1] - back] * power
        return ending

    @cached_property
    def _lengths(self) -> list[int]:
        lengths: list[int] = self.text.lengths.tolist()
        return lengths

    def runs(self, window: int, peak: int) -> list[int]:
        """A hash of each run of a context; two contexts are copies if they have one in common."""
        places = span(peak, self._lengths[window])
        found: list[int] = self._ending[
            window, min(peak, places.start + RUN - 1) : places.stop
        ].tolist()
        return found

    def adds(self, seen: set[int], window: int, peak: int) -> bool:
        """Whether a context copies none of those seen; if so, it is one of them from now on.

        Args:
            seen: the runs of those seen.
        """
        here = self.runs(window, peak)
        if not seen.isdisjoint(here):
            return False
        seen.update(here)
        return True
