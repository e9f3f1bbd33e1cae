"""SAELens's releases: one SAE's files in a folder that `saes.formats` and `saes.directions` read.

The layouts of SAELens and of Gemma Scope 2 are downloaded as they are. SAEs of any other layout are
read by SAELens and kept in its format.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.sources import cache, hub
from metasae.sources.files import expanded, remove, written_whole
from metasae.sources.presets import Hub, HubFile
from metasae.sources.seals import broken, seal


class Layout(NamedTuple):
    """Names of the files of an SAE's folder."""

    config: str
    weights: str


SAELENS = Layout("cfg.json", "sae_weights.safetensors")

GEMMA_SCOPE = Layout("config.json", "params.safetensors")

REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""Name of a repository of the hub."""

LAYOUTS = {None: SAELENS, "gemma_3": GEMMA_SCOPE}
"""By SAELens's name of a layout's conversion."""


def is_release(source: str) -> bool:
    """Whether a source is ``RELEASE:ID``: written like one, and no file or folder is called so."""
    return ":" in source and not expanded(source).exists()


def release_folder(source: str, size: int = 0, progress: Progress = silent) -> Path:
    """The folder of an SAE of a release, fetched on first use.

    Args:
        source: ``RELEASE:ID`` as in SAELens's table of pretrained SAEs, or ``USER/NAME:FOLDER`` of
            a repository of the hub in SAELens's layout.
        size: bytes of its weights, for the error when they can't be fetched.

    Raises:
        UserError: for a release or id SAELens doesn't know, and as `hub.hub_folder`.
    """
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release, _, sae_id = source.partition(":")
    known = get_pretrained_saes_directory()
    if release not in known and REPOSITORY.fullmatch(release):
        return repo_folder(source, SAELENS, size, progress)
    if release not in known:
        raise UserError(
            f'SAELens knows no release "{release}"; its documentation lists them, for example '
            "gpt2-small-res-jb-feature-splitting."
        )
    entry = known[release]
    if sae_id not in entry.saes_map:
        some = ", ".join(list(entry.saes_map)[:4])
        raise UserError(f'The release {release} has no "{sae_id}"; it has {some} and others.')
    inside = entry.saes_map[sae_id]
    if entry.conversion_func in LAYOUTS:
        layout = LAYOUTS[entry.conversion_func]
        files = (
            HubFile(f"{inside}/{layout.config}", 1_000),
            HubFile(f"{inside}/{layout.weights}", size),
        )
        return hub.hub_folder(Hub(entry.repo_id, "main", files), progress) / inside
    return _converted(release, sae_id, f"{inside} of {entry.repo_id}", progress)


def repo_folder(
    source: str, names: Sequence[str], size: int = 0, progress: Progress = silent
) -> Path:
    """A folder of a repository of the hub, fetched on first use.

    Args:
        source: ``USER/NAME:FOLDER``.
        names: of its files.

    Raises:
        UserError: as `hub.hub_folder`.
    """
    repo, _, inside = source.partition(":")
    files = tuple(HubFile(f"{inside}/{name}", size or 1_000) for name in names)
    return hub.hub_folder(Hub(repo, "main", files), progress) / inside


def _converted(release: str, sae_id: str, what: str, progress: Progress) -> Path:
    """An SAE of another layout, read by SAELens once and kept in its format."""
    folder = cache.sae(release, sae_id)
    if folder.exists():
        if not broken(folder):
            return folder
        remove(folder)
    from sae_lens import SAE

    progress(f"Downloading {release}", 0.0, sae_id)
    try:
        if not hub.is_reachable():
            raise ConnectionError
        sae = SAE.from_pretrained(release, sae_id)
    except Exception as error:  # network, hub and file errors of many libraries
        raise UserError(
            f"{release}:{sae_id} could not be fetched from the Hugging Face hub; connect to the "
            f"network, or download {what} by hand and give its folder."
        ) from error
    with written_whole(folder) as part:
        sae.save_model(part)
        seal(part)
    progress(f"Downloading {release}", 1.0, sae_id)
    return folder
