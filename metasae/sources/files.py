"""Files: written whole or not at all, hashed, and checked for space and permission."""

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.sources.cache import CACHE_VARIABLE


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def need_space(folder: Path, size: int, what: str, variable: str = CACHE_VARIABLE) -> None:
    """Refuse to write more than the disk can hold.

    Args:
        folder: where it will be written; it needn't be there yet.
        size: bytes that will be written.
        what: what needs them, for the error.
        variable: environment variable that moves the folder, for the error.

    Raises:
        UserError: when fewer than ``size`` bytes are free.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise UserError(
            f"{what} needs {size / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free; "
            f"make room or set {variable} to another folder."
        )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target``, moved to ``target`` when the block ends without an error.

    For a file or a folder. The move is atomic, so a reader sees the old content or the new, never
    a part. Only a folder in the place of another takes two moves, and for a moment a reader sees
    none; a kill at that moment leaves the old one in a hidden folder beside. After an error the old
    content is there and nothing is left behind.

    Raises:
        UserError: when the disk is full or the folder can't be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target.parent} can't be written ({error.strerror}).") from error
    part, replaced = scratch / target.name, scratch / "replaced"
    try:
        yield part
        if target.is_dir() and part.is_dir():
            os.replace(target, replaced)
        os.replace(part, target)
    except OSError as error:
        # In the system's words: a library that writes for us adds its own.
        why = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"{target} could not be written ({why}); nothing was changed there."
        ) from error
    finally:
        if replaced.exists() and not target.exists():
            os.replace(replaced, target)
        shutil.rmtree(scratch, ignore_errors=True)


CHECKED: dict[str, Any] = {"write_page_checksum": True}
"""Options of `pandas.DataFrame.to_parquet` for a file in which a flipped bit is noticed, …"""

CHECKING: dict[str, Any] = {"page_checksum_verification": True}
"""… by `pandas.read_parquet` with these."""


def remove(folder: Path) -> None:
    """Delete a folder, at once for whoever looks: it is moved out of sight first.

    Raises:
        UserError: when it can't be deleted; then all of it is there. One that is gone is no error.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            os.replace(folder, scratch / folder.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{folder} can't be deleted ({error.strerror}).") from error


def json_text(values: Any, dense: bool = False) -> str:
    """Values as JSON over several lines (``dense``: in one); a number that is not finite is null.

    What is of NumPy or torch becomes plain numbers and lists.

    JSON knows neither NaN nor infinity, and few programs read what Python writes in their place.
    """
    lines: dict[str, Any] = {"separators": (",", ":")} if dense else {"indent": 1}
    return json.dumps(_finite(values), ensure_ascii=False, allow_nan=False, **lines)


def _finite(values: Any) -> Any:
    if hasattr(values, "tolist"):  # of NumPy or torch
        values = values.tolist()
    if isinstance(values, dict):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def json_values(content: str | bytes) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: when it is none, or its lists and objects are nested deeper than can be read.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def read_json(path: Path) -> Any:
    """The values of a JSON file, which is UTF-8 on every system.

    Raises:
        OSError: when it can't be read.
        ValueError: when it holds no JSON.
    """
    return json_values(path.read_text("utf-8"))


def write_json(path: Path, values: Any, dense: bool = False) -> None:
    """Write values as a JSON file, whole or not at all; see `json_text`.

    Raises:
        UserError: when the disk is full or the folder can't be written.
    """
    with written_whole(path) as part:
        part.write_text(json_text(values, dense) + "\n", "utf-8")


def check_writable(target: Path, folder: bool = False) -> None:
    """Refuse a path that can't be written, before hours of work whose result is to be there.

    Args:
        folder: whether ``target`` is to be a folder.

    Raises:
        UserError: when ``target`` is a folder instead of a file or the other way round, its parent
            folder can't be made or written, or its name can't be that of a file.
    """
    try:
        if target.is_dir() and not folder:
            raise UserError(f"{target} is a folder; name a file.")
        if target.exists() and folder and not target.is_dir():
            raise UserError(f"{target} is a file; name a folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        # The very scratch folder that `written_whole` will make.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent):
            pass
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"{target} can't be written ({error.strerror}); choose another place."
        ) from error


def check_place(out: Path, own: Collection[str], what: str) -> None:
    """Refuse a folder that holds something else than what is about to be written there.

    Args:
        own: patterns of the names that belong there.
        what: would take the place of others, as the middle of a sentence.

    Raises:
        UserError: for it.
    """
    if not out.is_dir():
        return
    # A process that was killed leaves the hidden folder of what it was writing (`written_whole`).
    known = [*own, *(f".{name}.*" for name in own)]
    others = sorted(
        one.name for one in out.iterdir() if not any(fnmatchcase(one.name, name) for name in known)
    )
    if others:
        raise UserError(
            f'{out} holds other files ("{others[0]}"), and {what} would take their place; name a '
            "new folder."
        )


def expanded(text: str) -> Path:
    """The path a user typed, with ``~`` replaced by the home folder.

    Raises:
        UserError: for the home folder of a user this machine doesn't know, and for what can be the
            name of no file: too long, or with characters that none has.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError as error:
        raise UserError(
            f'"{text}" begins with a home folder that isn\'t there; write the path in full.'
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            return path  # whoever opens it says why it can't be
        shown = ascii(text[:40])[1:-1]
        raise UserError(
            f'"{shown}" can\'t be the name of a file or folder; write another path.'
        ) from error
    return path
