"""Which weights a preset runs on, told by the SHA-256 of their files."""

import functools
from collections.abc import Sequence
from hashlib import sha256 as hashed
from pathlib import Path

from metasae.errors import UserError
from metasae.lab.preset_files import meta_sae_folder
from metasae.lm.loading import prepare_model
from metasae.progress import Progress, silent
from metasae.sources.files import expanded, sha256
from metasae.sources.presets import Preset
from metasae.sources.releases import LAYOUTS, is_release, release_folder
from metasae.steering.provenance import Weights


def weights_of(preset: Preset, progress: Progress = silent) -> Weights:
    """The hashes of what a preset opens: its model, the SAE that is taken apart, its meta-SAE.

    A file that has not changed since it was last hashed by this process is not read again.

    Raises:
        UserError: when a file is gone.
    """
    source = preset.sae(preset.width)
    sae = release_folder(source) if is_release(source) else expanded(source)
    stage = "Hashing the weights"
    progress(stage, 0.0, preset.model.name)
    model = digest(sorted(prepare_model(preset).glob("*.safetensors")))
    progress(stage, 0.8, "the SAE")
    found = Weights(model, digest(_weights(sae)), digest(_weights(meta_sae_folder(preset))))
    progress(stage, 1.0, "")
    return found


def digest(files: Sequence[Path]) -> str:
    """The SHA-256 of a file, as ``sha256sum`` prints it; of several that of what it prints of all.

    Raises:
        UserError: without any file, or when one is gone.
    """
    if not files:
        raise UserError("The weights that are open are gone from the disk; open them again.")
    try:
        each = [(path.name, _kept(path, path.stat().st_size, path.stat().st_mtime_ns))
                for path in files]  # fmt: skip
    except OSError as error:
        raise UserError(
            "The weights that are open can't be read any more; open them again."
        ) from error
    if len(each) == 1:
        return each[0][1]
    return hashed("".join(f"{one}  {name}\n" for name, one in each).encode()).hexdigest()


def _weights(folder: Path) -> list[Path]:
    """The weights of an SAE's folder, whichever of the layouts it has."""
    files = [folder / layout.weights for layout in LAYOUTS.values()]
    return [path for path in files if path.exists()][-1:]


@functools.lru_cache(maxsize=32)
def _kept(path: Path, size: int, changed: int) -> str:
    """A file's hash; ``size`` and ``changed`` tell it from what the file was before."""
    return sha256(path)
