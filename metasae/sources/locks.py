"""Work that only one process of this machine may do at a time, told by a locked file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from metasae.errors import UserError
from metasae.sources.files import check_writable


def is_claimed(path: Path) -> bool:
    """Whether some process holds the lock of a file now."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # it can't be opened here, so nothing can be begun either
        return False


@contextmanager
def claimed(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock of a file; a process that is killed lets go.

    Args:
        taken: the sentence to say when another process holds it.

    Raises:
        UserError: when another does, or the folder can't be written.
    """
    check_writable(path)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(taken) from error
    try:
        yield
    finally:
        lock.release()
