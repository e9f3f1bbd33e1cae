"""What a case may not do: run without end, write elsewhere, show a library's words."""

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 30
"""Within which a case has ended, on a busy machine too."""

_WRITING = {
    "os.mkdir": 0, "os.remove": 0, "os.rename": 1, "os.rmdir": 0, "os.link": 1, "os.symlink": 1,
    "os.truncate": 0, "os.chmod": 0,
}  # fmt: skip
"""Audited calls that change what is on disk, and which of their arguments is the path."""

_LIBRARY = re.compile(
    r"Traceback|\b\w*(?:Error|Exception)\b|\[Errno|\b0x[0-9a-f]{6,}|<[\w.]+ object|NoneType|"
    r"the terminal shows the details|Expecting value|codec can't|pydantic|not subscriptable"
)
"""What a library says, and a person can do nothing with."""


class Endless(BaseException):
    """A case that has not ended in time; no handler of errors takes it for one."""


@contextmanager
def ends_soon() -> Iterator[None]:
    """Fail what takes longer than `SECONDS`."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Endless(f"still running after {SECONDS} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


class Writes:
    """What this process writes, while it is watched: told where it lies outside some folders,
    refused in a folder that is to be read alone."""

    def __init__(self) -> None:
        self.watched = False
        self.sealed = ""
        self.allowed: tuple[str, ...] = ()
        self.elsewhere: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not (self.watched or self.sealed):
            return
        if event == "open":
            path, _, flags = args
            changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            if not (isinstance(flags, int) and flags & changing):
                return
        elif event in _WRITING:
            path = args[_WRITING[event]]
        else:
            return
        if isinstance(path, bytes | str | os.PathLike):
            full = os.path.realpath(os.fsdecode(path))
            made_before = event == "os.mkdir" and os.path.isdir(full)
            if self.sealed and not made_before and full.startswith(self.sealed):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), full)
            if self.watched and not (made_before or full.startswith(self.allowed)):
                self.elsewhere.append(f"{event} {full}")

    @contextmanager
    def only_in(self, *folders: Path) -> Iterator[None]:
        """Fail when something is written outside some folders."""
        mine = ("/dev/null", "/dev/tty", "/dev/shm", "/dev/pts")
        self.allowed = (*(os.path.realpath(folder) + os.sep for folder in folders), *mine)
        self.elsewhere = []
        self.watched = True
        try:
            yield
        finally:
            self.watched = False
        written = [one for one in self.elsewhere if "__pycache__" not in one]
        assert not written, written

    @contextmanager
    def read_only(self, folder: Path) -> Iterator[None]:
        """Refuse every write below a folder, as a disk does that is mounted so."""
        self.sealed = os.path.realpath(folder) + os.sep
        try:
            yield
        finally:
            self.sealed = ""


WRITES = Writes()
"""Of this process: an audit hook can't be taken away again."""


def is_a_sentence(said: str) -> None:
    """What is said to a person is one sentence in plain words."""
    # What the input itself said is quoted.
    own = re.sub(r'"[^"]*"|“[^”]*”', '""', said)
    assert not _LIBRARY.search(own), said
    assert len(own.splitlines()) <= 1 and len(own.split()) > 2, said
    assert own.rstrip("\\ ").endswith((".", "?")), said
