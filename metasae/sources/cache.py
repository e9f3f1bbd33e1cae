"""Paths of everything that is kept on this machine; no other module makes one.

``METASAE_CACHE`` moves them all. Nothing here reads or writes a file; `files` does. What is kept of
a preset is kept under its `Preset.kept_as`, here ``name``.
"""

import os
from pathlib import Path

from platformdirs import user_cache_path

from metasae.errors import UserError

CACHE_VARIABLE = "METASAE_CACHE"


def cache_dir() -> Path:
    """The folder of all that is kept, made when it is missing; ``METASAE_CACHE`` moves it.

    Raises:
        UserError: when the folder can't be made or written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    try:
        path = Path(chosen).expanduser() if chosen else user_cache_path("metasae")
    except RuntimeError as error:
        raise UserError(
            f'{CACHE_VARIABLE} is "{chosen}", but that home folder isn\'t there; write the path in '
            "full."
        ) from error
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache folder {path} can't be made ({error.strerror}); set {CACHE_VARIABLE} to a "
            "folder you can write to."
        ) from error
    return path


def wheel(filename: str) -> Path:
    """The file of a fetched wheel."""
    return cache_dir() / "wheels" / filename


def model(name: str, digest: str) -> Path:
    """The folder of a model that came in a wheel, dequantised."""
    return cache_dir() / "models" / f"{name}-{digest[:12]}"


def hub_by_hand(repo: str) -> Path:
    """The folder of a hub repository's files that the user put there by hand."""
    return cache_dir() / "hub" / repo


def hub_seals(repo: str) -> Path:
    """The file of what a hub repository's files were found to be."""
    return cache_dir() / "hub-seals" / f"{repo.replace('/', '--')}.json"


def sae(release: str, sae_id: str) -> Path:
    """The folder of an SAE that only SAELens could read, written again in SAELens's format."""
    return cache_dir() / "saes" / release / sae_id.replace("/", "--")


def own_presets() -> Path:
    """The folder of the presets that were added in the workbench."""
    return cache_dir() / "own-presets"


def preset(name: str) -> Path:
    """The folder of the meta-SAE and tables of a preset that isn't shipped."""
    return cache_dir() / "presets" / name


def residuals_on_names(name: str, digest: str) -> Path:
    """The file of a preset's residuals on the names that latents are told apart by.

    Args:
        digest: of the model, the names and their contexts.
    """
    return cache_dir() / "names" / name / f"{digest}.npz"


def meta_saes(name: str) -> Path:
    """The folder of the user's own meta-SAEs for a preset, a folder each."""
    return cache_dir() / "meta-saes" / name


def meta_sae(name: str, mine: str) -> Path:
    """The folder of one of the user's own meta-SAEs for a preset."""
    return meta_saes(name) / mine


def seeded_meta_sae(name: str, meta_sae: str, seed: int) -> Path:
    """The folder of a preset's meta-SAE trained again from another seed.

    Args:
        meta_sae: the one whose recipe it has, as `Provenance` names it.
    """
    return cache_dir() / "seeds" / name / f"{meta_sae}-seed-{seed}"


def meta_sae_of_all_widths(name: str, meta_sae: str, digest: str, seed: int) -> Path:
    """The folder of a preset's meta-SAE that is trained on its SAEs of all widths.

    Args:
        meta_sae: see `seeded_meta_sae`.
        digest: of the directions it is trained on.
    """
    return cache_dir() / "all-widths" / name / f"{meta_sae}-{digest}-seed-{seed}"


def control_sae(name: str, digest: str) -> Path:
    """The folder of a base SAE that is trained as a control for a preset.

    Args:
        digest: of how it is trained and on what.
    """
    return cache_dir() / "controls" / name / digest


def windows(name: str, own: bool) -> Path:
    """The file of a preset's text as token windows: the usual text, or the user's own."""
    return cache_dir() / "text" / name / ("own.npz" if own else "windows-2.npz")


def build(name: str) -> Path:
    """The folder of a preset's residuals and of the checkpoints of its release."""
    return cache_dir() / "build" / name


def residuals(name: str, digest: str) -> Path:
    """The folder of the residuals of a preset on some text."""
    return build(name) / f"residuals-{digest[:12]}"


def evidence(name: str) -> Path:
    """The folder of evidence and labels that the user computed for a preset."""
    return cache_dir() / "evidence" / name


def corrected_labels(name: str, meta_sae: str, about: str = "") -> Path:
    """The file of the labels people wrote for a preset.

    Args:
        meta_sae: name of the user's meta-SAE that is chosen in it; empty: none.
        about: digest of the SAEs they are about; earlier versions had one file for all.
    """
    opened = f"{name}+{meta_sae}" if meta_sae else name
    return cache_dir() / "labels" / (f"{opened}-{about}.json" if about else f"{opened}.json")


def search(identity: str) -> Path:
    """The folder of a search."""
    return cache_dir() / "searches" / identity


def study_runs() -> Path:
    """The folder of all runs of studies, a folder each."""
    return cache_dir() / "studies"


def study_run(identity: str) -> Path:
    """The folder of a run of a study."""
    return study_runs() / identity


def masks() -> Path:
    """The folder of the masks that were saved for Steer, a file each."""
    return cache_dir() / "masks"


def mask(name: str) -> Path:
    """The file of a saved mask."""
    return masks() / f"{name}.json"
