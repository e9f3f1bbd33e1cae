"""Files of the Hugging Face hub: taken from this machine, or downloaded once and verified.

Looked for in turn: the folder `cache.hub_by_hand`, which the user can fill, the hub's cache, the
hub itself. Downloads go through ``huggingface_hub``, which resumes interrupted ones. What is found
is held against its hash (see `seals`), and fetched again from the hub where it differs.
"""

import errno
import logging
import re
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.files import need_space
from metasae.sources.presets import Hub, HubFile
from metasae.sources.seals import Seals

_PATIENCE = 5.0
"""Seconds within which a hub that can be reached has answered."""

_log = logging.getLogger(__name__)


def hub_folder(hub: Hub, progress: Progress = silent) -> Path:
    """The folder that holds a repository's files under the names they have in it.

    Raises:
        UserError: when there is no network or no space, the licence wasn't accepted, or a file is
            not the pinned one; it says which files are missing, their size, and where to put them.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = cache.hub_by_hand(hub.repo)
    seals = _seals(hub)
    if all((folder / file.name).exists() for file in hub.files):
        for file in hub.files:
            _check(seals, folder / file.name, file.sha256)
        return folder
    missing = [file for file in hub.files if not _is_whole(seals, hub, file)]
    if missing:
        size = sum(file.size for file in missing)
        need_space(Path(HF_HUB_CACHE), size, f"Downloading {hub.repo}", "HF_HUB_CACHE")
    if missing and not is_reachable():
        raise _unreachable(hub, missing, "no connection")
    for file in missing:
        _fetch(hub, file, missing, seals, progress)
    paths = [_kept(hub, file) for file in hub.files]
    first = paths[0]
    if first is None or None in paths:
        raise _unreachable(hub, missing, "the download is not where it was put")
    return first.parents[hub.files[0].name.count("/")]


def local_file(hub: Hub, file: HubFile) -> Path | None:
    """Where a file is on this machine: put there by hand, or in the hub's cache; None without."""
    by_hand = cache.hub_by_hand(hub.repo) / file.name
    return by_hand if by_hand.exists() else _kept(hub, file)


def known_hash(path: Path, file: HubFile) -> str:
    """The SHA-256 a file of the hub should have; empty where nothing says it.

    The hub keeps a large file under its own hash, which is the only pin where we have none.
    """
    own = path.resolve().name
    return file.sha256 or (own if re.fullmatch(r"[0-9a-f]{64}", own) else "")


def is_reachable() -> bool:
    """Whether the hub answers, whatever it says: asked once, and not for long.

    Its library would try again and again for half a minute and print every failure. Where it is
    told to stay offline it says so at once by itself.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception:  # of whichever library it asks with
        _log.info("%s does not answer", constants.ENDPOINT, exc_info=True)
        return False
    return True


def _kept(hub: Hub, file: HubFile) -> Path | None:
    """Path of a file in the hub's cache; None when it isn't there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(hub.repo, file.name, revision=hub.revision)
    return Path(path) if isinstance(path, str) else None


def _seals(hub: Hub) -> Seals:
    """What is noted of a repository's files; nothing where the record is damaged."""
    record = cache.hub_seals(hub.repo)
    try:
        return Seals(record)
    except ValueError:
        record.unlink(missing_ok=True)
        return Seals(record)


def _is_whole(seals: Seals, hub: Hub, file: HubFile) -> bool:
    """Whether a file is in the hub's cache as it should be; a damaged one is taken out of it."""
    path = _kept(hub, file)
    if path is None:
        return False
    own = path.resolve()
    if seals.holds(str(own), own, known_hash(own, file)):
        return True
    _log.warning("%s is damaged and is fetched again", own)
    try:
        own.unlink()
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{own} is damaged and can't be deleted ({error.strerror}); delete it and try again."
        ) from error
    return False


def _fetch(
    hub: Hub, file: HubFile, missing: list[HubFile], seals: Seals, progress: Progress
) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.constants import HF_HUB_CACHE

    stage = f"Downloading {hub.repo}"
    parts = Path(HF_HUB_CACHE) / f"models--{hub.repo.replace('/', '--')}" / "blobs"
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(hf_hub_download, hub.repo, file.name, revision=hub.revision)
        while not wait([task], timeout=0.3).done:
            got = sum(_size(path) for path in parts.glob("*.incomplete"))
            note = f"{file.name}, {got / 1e6:.0f} of {file.size / 1e6:.0f} MB"
            progress(stage, min(got / max(file.size, 1), 0.99), note)
    try:
        path = Path(task.result())
    except Exception as error:  # network, hub and file errors of several libraries
        raise _explained(hub, file, missing, error) from error
    own = path.resolve()
    _check(seals, own, known_hash(own, file))
    progress(stage, 1.0, file.name)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it was given its final name since it was listed
        return 0


def _check(seals: Seals, path: Path, digest: str) -> None:
    if digest and not seals.holds(str(path), path, digest):
        raise UserError(
            f"{path} is not the file it should be (its SHA-256 differs); delete it and try again."
        )


def _explained(hub: Hub, file: HubFile, missing: list[HubFile], error: Exception) -> UserError:
    """The sentence for an error of a file's download: what the user can do about it."""
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

    if isinstance(error, GatedRepoError):
        return UserError(
            f"{hub.repo} is given only to those who accept its licence: do so at "
            f"huggingface.co/{hub.repo}, set HF_TOKEN to a token of yours, and try again."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(f"The disk filled up while downloading {hub.repo}; make room.")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return UserError(
            f"{hub.repo} has no {file.name} in its revision {hub.revision}; check both, or choose "
            "another."
        )
    return _unreachable(hub, missing, "no connection, or it was refused")


def _unreachable(hub: Hub, missing: list[HubFile], why: Any) -> UserError:
    names = ", ".join(file.name for file in missing)
    # By hand all are needed, also those that the hub's cache has.
    every = ", ".join(file.name for file in hub.files)
    sizes = [file.size for file in missing]
    # A release's size may be unknown.
    weight = f" ({sum(sizes) / 1e6:,.0f} MB)" if all(sizes) else ""
    return UserError(
        f"{names} of {hub.repo}{weight} could not be fetched from the Hugging Face hub "
        f"({why}); connect to the network once, or put {every} into "
        f"{cache.hub_by_hand(hub.repo)} by hand."
    )
