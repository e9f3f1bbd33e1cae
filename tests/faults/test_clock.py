"""A clock that jumps: runs are gone on with, durations stay true, what changed is seen."""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from metasae.lab.lab import Lab
from metasae.progress import TimeLeft
from metasae.sources.cache import CACHE_VARIABLE
from metasae.studies import runs
from metasae.studies.registry import study as named


class Jumping(datetime):
    """A clock that says what it was set to."""

    said = "2031-01-01T00:00:00+00:00"

    @classmethod
    def now(cls, tz: Any = None) -> "Jumping":
        return cls.fromisoformat(cls.said)


@pytest.mark.slow
def test_a_run_outlives_a_jump_back_and_a_jump_ahead(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(runs, "datetime", Jumping)
    study = named("max-cosine")
    run = runs.begin(small_lab, study, study.configuration(), 1)
    wall = iter([4e9, 0.0, 1e9] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(wall))
    monkeypatch.setattr(Jumping, "said", "1999-12-31T23:59:59+00:00")
    found = run.answer(small_lab)
    assert found.seconds is not None and 0 < found.seconds < 3600
    # The same question is the same run, whenever it is asked.
    again = runs.begin(small_lab, study, study.configuration(), 1)
    assert again == run and again.finished and again.began.startswith("2031")
    later = runs.begin(small_lab, named("graphs"), named("graphs").configuration(), 1)
    assert later.began.startswith("1999") and runs.all_runs() == [run, later]


def test_the_time_left_is_not_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    left = TimeLeft()
    wall = iter([4e9, 0.0] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(wall))
    left.seconds("Working", 0.1)
    time.sleep(0.02)
    told = left.seconds("Working", 0.5)
    assert told is None or 0 <= told < 60


def test_files_from_the_future_and_the_past_are_read(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    study = named("max-cosine")
    run = runs.begin(small_lab, study, study.configuration(), 1)
    figures = run.answer(small_lab).figures
    for when in (0, 4e9):
        for path in run.folder.rglob("*"):
            os.utime(path, (when, when))
        assert runs.opened(run.identity).result().figures == figures
