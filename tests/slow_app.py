"""The workbench of `tests.small_app`, a minute of whose opening goes by, for a server of its own.

``OPENINGS`` names a file that gets a line for every opening that is begun.
"""

import os
import time
from pathlib import Path

from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.sources.presets import EMBEDDED, Preset
from workbench import shared


def slowly(preset: Preset = EMBEDDED, progress: Progress = silent) -> Lab:
    """Report some progress for a minute."""
    with Path(os.environ["OPENINGS"]).open("a") as file:
        file.write("begun\n")
    for step in range(1200):
        progress("Fetching the model", step / 1200, "")
        time.sleep(0.05)
    raise AssertionError("nobody cancelled it")


shared.open_lab = slowly
app = Path(__file__).with_name("small_app.py")
exec(compile(app.read_text(encoding="utf-8"), app, "exec"))  # sessions run it side by side
