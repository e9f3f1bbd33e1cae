"""The figures that were measured on a preset's weights, if they are the weights that are there."""

import shlex
from typing import Any

from metasae.errors import UserError
from metasae.lab.preset_files import REPORT, folder_of, meta_sae_folder
from metasae.saes import formats
from metasae.sources.files import read_json, sha256
from metasae.sources.presets import Preset
from metasae.training import meta_sae_run


def read_report(preset: Preset) -> dict[str, Any]:
    """A preset's report; what it says of the meta-SAE is about the chosen one.

    Raises:
        OSError, ValueError: when the preset's own report is missing or holds no JSON object.
        UserError: when that of the user's meta-SAE is missing or damaged.
    """
    report = read_json(folder_of(preset) / REPORT)
    if not isinstance(report, dict):
        raise ValueError("no JSON object")
    if preset.meta_sae:
        path = meta_sae_folder(preset) / formats.REPORT
        try:
            report["meta_sae"] = meta_sae_run.quality_of(read_json(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is missing or damaged; train the meta-SAE again, or open another."
            ) from error
    return report


def stored_report(preset: Preset) -> dict[str, Any]:
    """The figures measured on a preset's weights, if they are the weights that are there.

    Raises:
        UserError: when the report is missing, or the weights are not those it was measured on.
    """
    folder = folder_of(preset)
    path = folder / REPORT
    again = (
        f"delete {folder} and open the preset again, which makes it anew"
        if preset.weights is None
        else "measure again with: python -m metasae info --measure"
    )
    if preset.weights is None and not path.exists():
        raise UserError(
            f"Nothing has been made for {preset.opened} yet; open it once, for example with: "
            f"python -m metasae cities --preset {shlex.quote(str(preset.opened))}."
        )
    try:
        report = read_report(preset)
        hashes = dict(report["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged; {again}.") from error
    for name, digest in hashes.items():
        file = folder / name
        if not file.exists() or sha256(file) != digest:
            raise UserError(f"{file} is not the file the report was measured on; {again}.")
    return report
