"""Paths confined to a folder, wherever `..`, `~` and symbolic links lead."""

import os
from pathlib import Path

from metasae.errors import UserError
from metasae.sources.files import expanded


def inside(text: str, folder: Path) -> Path:
    """The real path of what somebody named, if it lies in a folder; relative paths begin there.

    What is outside is refused in the same words whether it is there or not.

    Args:
        folder: real or not, `~` included; it may itself be a link.

    Raises:
        UserError: when it is not inside, or something directly in it leads outside.
    """
    root = Path(os.path.realpath(expanded(str(folder))))
    path = _real(root / expanded(text))
    try:
        # What is opened is the files of a folder, each of which may be a link.
        opened = [path, *map(_real, path.iterdir())] if path.is_relative_to(root) else [path]
    except OSError:  # a file, or nothing that can be read
        opened = [path]
    if not all(one.is_relative_to(root) for one in opened):
        raise UserError(
            f'"{text[:60]}" does not lie in the folder that may be opened from here; write a path '
            "inside of it."
        )
    return path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
