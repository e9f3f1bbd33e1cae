"""Trainings begun in this process, the directions they take apart, and what they cost."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from metasae.progress import Progress
from metasae.saes.directions import Directions, open_directions
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE, seconds_a_step
from metasae.training.meta_sae_run import make
from metasae.training.trainer import Moment
from workbench.background import Work, kept


class Training:
    """A meta-SAE being trained here, in a thread; its checkpoint lies beside its folder."""

    def __init__(
        self,
        directions: Directions,
        config: TrainConfig,
        controls: tuple[str, ...],
        out: Path,
        initial: Path | None = None,
    ) -> None:
        self.directions, self.config, self.controls, self.out = directions, config, controls, out
        self.initial = initial
        self.moments: list[Moment] = []
        self._cancelled = threading.Event()
        self.work = Work(self._train, "Training", long=True)

    def _train(self, progress: Progress) -> dict[str, Any]:
        return make(
            self.directions, self.config, self.out, self.controls, initial=self.initial,
            resume=True, progress=progress, record=self._record, stopped=self._cancelled.is_set,
        )  # fmt: skip

    def _record(self, moment: Moment) -> None:
        # A curve needs no more points than a screen has.
        if moment.step % max(1, moment.steps // 400) == 0:
            self.moments.append(moment)

    def cancel(self) -> None:
        """Stop at the next step; it can go on from there."""
        if self.work.waiting:
            self.work.cancel()
        self._cancelled.set()

    def again(self) -> "Training":
        """Go on after a stop."""
        training = Training(self.directions, self.config, self.controls, self.out, self.initial)
        training.moments = list(self.moments)
        return training


@st.cache_resource(show_spinner=False)
def trainings() -> dict[Path, Training]:
    """Trainings begun in this process, by the folder of what they make; all sessions see them."""
    return {}


@kept(max_entries=4)
def get_directions(sources: tuple[str, ...]) -> Work[Directions]:
    """Directions to take apart, opened or being opened."""
    return Work(lambda _: open_directions(sources), "Opening the directions")


@kept(max_entries=16)
def seconds_of_step(sources: tuple[str, ...], width: int, k: int, batch: int) -> Work[float]:
    """Seconds a step takes here, measured or being measured."""
    directions = get_directions(sources)
    config = replace(RECIPE, width=width, k=k, batch=batch)
    return Work(lambda _: seconds_a_step(directions, config), "Timing a few steps")
