"""Seconds a training step takes with each trainer in each configuration, turn by turn.

Memory of the size of a batch's activations is given back to the system and asked for again in
every step unless the C library is told to keep it. So everything is timed in two processes of its
own: with the allocator as it is, and with one that is tuned for both sides (thresholds of giving
back raised, huge pages).
"""

import json
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.peer import seconds
from benchmarks.trainers import ROWS, Dense, Ours, Recipe, SAELens, planted
from metasae.progress import to_stream
from metasae.training.meta_sae import RECIPE

TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**36),
    "MALLOC_TOP_PAD_": str(2**28),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment of the tuned process: glibc's thresholds and huge pages, and PyTorch's huge pages."""

ALLOCATORS: dict[str, dict[str, str]] = {"usual": {}, "tuned": TUNED}

OURS, DENSE, SAELENS = "ours", "dense autograd", "SAELens"

RECIPES = {
    SAELENS: Recipe(),
    f"{SAELENS}, autocast": Recipe(autocast=True),
    f"{SAELENS}, without rescaling": Recipe(rescale=False),
    f"{SAELENS}, autocast, without rescaling": Recipe(autocast=True, rescale=False),
    f"{SAELENS}, compiled": Recipe(compiled=True),
    f"{SAELENS}, autocast, compiled": Recipe(autocast=True, compiled=True),
    f"{SAELENS}, autocast, without rescaling, compiled": Recipe(True, False, True),
}
"""SAELens by configuration."""

FEW = (SAELENS, f"{SAELENS}, autocast, without rescaling")
"""Those that are enough for a quick look."""


def every_step(turns: int, recipes: Sequence[str] = tuple(RECIPES)) -> dict[str, Any]:
    """Seconds a step of every trainer, in a process for each allocator.

    Args:
        recipes: names of SAELens's configurations that are tried.

    Returns:
        Allocator → configuration → its median and the smallest and the largest of its repeats, or
        the reason why it doesn't run here.
    """
    return {name: _in_process(extra, turns, recipes) for name, extra in ALLOCATORS.items()}


def best(figures: dict[str, Any]) -> tuple[str, str]:
    """The allocator and the configuration of SAELens with the shortest step of all."""
    medians = {
        (allocator, name): row["median_s"]
        for allocator, rows in figures.items()
        for name, row in rows.items()
        if name.startswith(SAELENS) and "median_s" in row
    }
    return min(medians, key=medians.__getitem__)


def _in_process(extra: dict[str, str], turns: int, recipes: Sequence[str]) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with _environment(extra):  # read once, when a process begins
        process = context.Process(target=_timed, args=(turns, recipes, there))
        process.start()
    there.close()  # so that a process that fails ends the wait
    figures: dict[str, Any] = json.loads(here.recv())
    process.join()
    return figures


@contextmanager
def _environment(extra: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update(extra)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _timed(turns: int, recipes: Sequence[str], pipe: Any) -> None:
    """The trainers in turn, a step each; the first, in which memory is made, isn't counted."""
    rows, config = planted(ROWS), replace(RECIPE, steps=turns + 1)
    trainers: dict[str, Any] = {OURS: Ours(rows, config), DENSE: Dense(rows, config)}
    trainers |= {name: SAELens(rows, config, recipe=RECIPES[name]) for name in recipes}
    figures: dict[str, dict[str, float | str]] = {}
    progress = to_stream()
    for name in list(trainers):
        reason = _fails(trainers[name].step)
        if reason:
            figures[name] = {"fails": reason}
            del trainers[name]
    took: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(turns):
        for name, trainer in trainers.items():
            took[name].append(seconds(trainer.step))
        progress("A step each", (turn + 1) / turns, f"{turn + 1} of {turns}")
    figures |= {
        name: {"median_s": statistics.median(all_), "least_s": min(all_), "most_s": max(all_)}
        for name, all_ in took.items()
    }
    pipe.send(json.dumps(figures))


def _fails(step: Callable[[], object]) -> str:
    """Why a step can't be done here; empty if it can."""
    try:
        step()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""
