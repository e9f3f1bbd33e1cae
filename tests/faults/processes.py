"""Command lines as processes of their own, on the small lab: killed at a write, or side by side."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE

ROOT = Path(__file__).parents[2]

_CHILD = """
import sys
from dataclasses import replace
from pathlib import Path

from metasae.sources.presets import EMBEDDED, PRESETS
from tests.faults import child
from tests.small_lab import preset_of_small_lab

child.begin(*sys.argv[1:4])
small = preset_of_small_lab(Path(sys.argv[4]), Path(sys.argv[5]))
PRESETS["small"], PRESETS[EMBEDDED.name] = small, replace(small, name=EMBEDDED.name)

from metasae.cli import main

sys.exit(main(sys.argv[6:]))
"""


def started(
    lab: Lab | None,
    cache: Path,
    words: Sequence[str],
    dies_at: tuple[str, int, str] = ("", 0, ""),
) -> "subprocess.Popen[str]":
    """A command that runs in a process of its own.

    Args:
        lab: the small lab, which it opens as the preset "small", and as the default's.
        cache: its cache.
        dies_at: see `child.begin`.
    """
    model, weights = ("", "") if lab is None else (lab.preset.model.origin, lab.preset.weights)
    pattern, number, when = dies_at
    given = [pattern, str(number), when, str(model), str(weights), *words]
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, *given],
        cwd=ROOT,
        env=os.environ | {CACHE_VARIABLE: str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(
    lab: Lab | None, cache: Path, words: Sequence[str], dies_at: tuple[str, int, str]
) -> None:
    """Run a command that is killed on its way; see `started`."""
    with started(lab, cache, words, dies_at) as child:
        _, said = child.communicate(timeout=280)
    assert child.returncode == -signal.SIGKILL, said


def ended(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """How a command ended: its exit code and what it wrote."""
    with child:
        out, said = child.communicate(timeout=280)
    return child.returncode, out, said
