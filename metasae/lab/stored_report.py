"""The figures that were measured on a preset's weights, if they are the weights that are there."""

import json
import shlex
from typing import Any

from metasae.errors import UserError
from metasae.lab.first_use import folder_of
from metasae.sources.files import sha256
from metasae.sources.presets import Preset


def stored_report(preset: Preset) -> dict[str, Any]:
    """The figures measured on the shipped weights, if they are the weights that are there.

    Raises:
        UserError: when the report is missing, or the weights are not those it was measured on.
    """
    folder = folder_of(preset)
    path = folder / "report.json"
    if preset.weights is None and not path.exists():
        raise UserError(
            f"Nothing has been made for {preset.opened} yet; open it once, for example with: "
            f"python -m metasae cities --preset {shlex.quote(str(preset.opened))}."
        )
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        hashes = dict(report["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is missing or damaged; measure again with: python -m metasae info --measure."
        ) from error
    for name, digest in hashes.items():
        file = folder / name
        if not file.exists() or sha256(file) != digest:
            raise UserError(
                f"{file} is not the file the report was measured on; measure again with: "
                "python -m metasae info --measure."
            )
    return report
