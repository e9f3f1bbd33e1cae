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
import fnmatch, os, signal, sys
from pathlib import Path

import torch

replace, left = os.replace, int(sys.argv[2])

def dying(source, target):
    global left
    hit = fnmatch.fnmatch(os.path.basename(target), sys.argv[1])
    left -= hit
    if not (hit and left == 0):
        replace(source, target)
        return
    if sys.argv[3] == "after":
        replace(source, target)
    os.kill(os.getpid(), signal.SIGKILL)

os.replace = dying

from metasae.explorer import half_gathered
from metasae.lm import matmul
from metasae.sources.presets import PRESETS
from metasae.text import windows
from metasae.training.trainer import Trainer
from tests.small_lab import preset_of_small_lab

# A checkpoint after every step and every pass, where one every half minute is usual.
Trainer.run.__defaults__ = (None, 0.0, *Trainer.run.__defaults__[2:])
half_gathered.EVERY = 0.0
# Few tokens a pass of the model, so that a short text takes several.
windows._TOKENS_PER_BATCH = 200
# Which precision is faster is timed; another process may find another.
matmul._faster = lambda *_: torch.float32
matmul.laid_out_is_faster = lambda dtype: False
PRESETS["small"] = preset_of_small_lab(Path(sys.argv[4]), Path(sys.argv[5]))

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
        lab: the small lab, which it opens as the preset "small".
        cache: its cache.
        dies_at: it kills itself at the so-manyth file of that name that it writes, "before" the
            file has its name, or "after".
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
