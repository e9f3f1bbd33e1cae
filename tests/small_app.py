"""The workbench with a small lab in the place of the real one, for a server of its own.

``SMALL_LAB`` names the folder that `tests.small_lab.make` was given. With ``DIES_AT`` it computes
as `tests.faults.child` does, and may be killed.
"""

import os
from dataclasses import replace
from pathlib import Path

from metasae.sources.presets import EMBEDDED, PRESETS
from tests.faults import child
from tests.small_lab import preset_of_small_lab

FOLDER = "SMALL_LAB"
"""The variable."""

if child.VARIABLE in os.environ:
    child.begin(*os.environ[child.VARIABLE].split())
folder = Path(os.environ[FOLDER])
small = preset_of_small_lab(folder / "model", folder / "weights")
PRESETS[EMBEDDED.name] = replace(small, name=EMBEDDED.name)
app = Path(__file__).parents[1] / "workbench" / "app.py"
exec(compile(app.read_text(encoding="utf-8"), app, "exec"))  # sessions run it side by side
