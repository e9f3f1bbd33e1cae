"""What a process of its own does otherwise than usual, so that it can be killed and compared."""

import fnmatch
import functools
import os
import signal
from pathlib import Path

import torch

from metasae.explorer import half_gathered
from metasae.lm import matmul
from metasae.search import exhaustive, job
from metasae.text import windows
from metasae.training.trainer import Trainer

ALIKE = (
    # Few tokens a pass of the model and few combinations a part: a short task takes several.
    (windows, "_TOKENS_PER_BATCH", 200),
    (job, "STEP", 16),
    (exhaustive, "CHUNK", 8),
    (job, "PARTS", 1000),
    # Which precision is faster is timed; another process may find another.
    (matmul, "_faster", lambda *_: torch.float32),
    (matmul, "laid_out_is_faster", lambda dtype: False),
)
"""Of a module what is another than usual."""

VARIABLE = "DIES_AT"
"""Of a server's environment: what `begin` is told, with spaces between."""


@functools.cache
def begin(pattern: str = "", number: str = "0", when: str = "") -> None:
    """Compute the same in every process, in small steps; once.

    Args:
        pattern, number, when: the process kills itself at the so-manyth file of that name that it
            writes, "before" the file has its name, or "after"; never without a pattern. One that
            does keeps what it has after every step, where once in half a minute is usual.
    """
    if pattern:
        _die_at(pattern, int(number), when)
        Trainer.run.__defaults__ = (None, 0.0, *(Trainer.run.__defaults__ or ())[2:])
        half_gathered.EVERY = 0.0
    for module, name, value in ALIKE:
        setattr(module, name, value)


def _die_at(pattern: str, number: int, when: str) -> None:
    replace, left = os.replace, number

    def dying(source: str | Path, target: str | Path) -> None:
        nonlocal left
        hit = fnmatch.fnmatch(os.path.basename(target), pattern)
        left -= hit
        if not (hit and left == 0):
            replace(source, target)
            return
        if when == "after":
            replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying  # type: ignore[assignment]
