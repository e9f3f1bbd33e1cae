"""The one loop of every search: scored combinations come, the best are kept, a sink takes them."""

import threading
from collections.abc import Callable, Iterable

from metasae.search.patterns import BestByPattern, Chunk

Sink = Callable[[Chunk], None]
"""Takes scored combinations, to write them or count them."""


def ignore(chunk: Chunk) -> None:
    """A sink that drops what comes, where only the best are wanted."""


def gather(
    chunks: Iterable[Chunk],
    best: BestByPattern,
    sink: Sink = ignore,
    cancelled: threading.Event | None = None,
) -> bool:
    """Take scored combinations as they come.

    Args:
        chunks: scored when they are asked for.
        best: keeps the clearest of every pattern.
        cancelled: set by another thread to stop before the next chunk.

    Returns:
        Whether all chunks came; False when cancelled.
    """
    coming = iter(chunks)
    while cancelled is None or not cancelled.is_set():
        chunk = next(coming, None)
        if chunk is None:
            return True
        best.see(chunk)
        sink(chunk)
    return False
