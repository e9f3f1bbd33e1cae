"""The server's memory: garbage in cycles is found soon, and what was freed goes to the system."""

import ctypes
import functools
import gc
from collections.abc import Mapping
from contextlib import suppress

_ARENA_MAX, _ARENAS = -8, 2
"""glibc's number of ``mallopt``'s option, and its value."""


@functools.cache
def keep_flat() -> None:
    """Have the process hold on to little of what it freed; once for all sessions.

    Streamlit runs each script in a thread of its own. glibc would give these threads up to eight
    heaps a processor, and each heap would keep the largest tensor that ever was freed in it.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    gc.callbacks.append(_collected)


def settle() -> None:
    """Collect what is garbage and leave alone what is there to stay, such as a lab just opened.

    Python collects what is old only once a quarter as much is new. Beside all the objects of torch
    and transformers that would be hours of a person's use, with all the tensors and tables that
    such garbage holds; and each collection would walk through all of them.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.collect()  # by which Python sees how few are left to walk through


def stir() -> None:
    """Have what was there to stay collected as anything else: a lab was closed."""
    gc.unfreeze()


def _collected(phase: str, about: Mapping[str, int]) -> None:
    """Give the system what a collection of everything has freed."""
    if phase == "stop" and about["generation"] == 2:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
