"""A cache for tests that shares with this machine's what is fetched, and nothing else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FETCHED = ("models", "wheels")
"""Folders of what is fetched once, all of it named by what it holds."""


@contextmanager
def own_cache(folder: Path, shared: Path) -> Iterator[Path]:
    """An empty cache, but for the fetched models and wheels and the text cut into windows.

    Those are links: what is fetched or cut first by a test is there for the next run too. The
    user's own text, searches and labels are not.

    Args:
        folder: where it is to be; empty.
        shared: this machine's cache.
    """
    for name in FETCHED:
        (shared / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(shared / name)
    for path in shared.glob("text/*/windows.npz"):
        link = folder / path.relative_to(shared)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    yield folder
    for path in folder.glob("text/*/windows.npz"):
        # A file that is written takes the place of a link to it.
        if not path.is_symlink():
            kept = shared / path.relative_to(folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, kept)
