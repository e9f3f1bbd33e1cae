"""Pages when something goes away: a preset that is open, a browser whose job is under way."""

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.sources import cache
from metasae.sources.presets import Preset
from metasae.sources.user_presets import keep
from tests.bad_input.watching import is_a_sentence
from tests.pages.opening import open_page, until
from workbench import shared
from workbench.background import Work, kept

PAGES = ("steer", "enumerate", "latents", "meta_latents", "graph", "train", "studies", "ravel")


@pytest.fixture
def mine(small_default: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a preset of the user's, which opens the small lab."""
    kept_as = keep(
        {
            "name": "mine", "model": str(small_default.preset.model.origin),
            "saes": [small_default.preset.sae(64)], "hook_layer": 0, "widths": [64],
        }
    )  # fmt: skip

    def opened(preset: Preset, progress: Progress = silent) -> Lab:
        return replace(small_default, preset=replace(small_default.preset, name="mine"))

    monkeypatch.setattr(shared, "open_lab", opened)
    return cache.own_presets() / f"{kept_as.name}.json"


@pytest.mark.parametrize("page", PAGES)
def test_a_preset_that_is_deleted_while_it_is_open(page: str, mine: Path) -> None:
    app = open_page(page, preset="mine")
    assert not app.exception and not [one for one in app.error if "preset" in one.value]
    mine.unlink()
    # Whoever has it open goes on with what is in memory.
    app.run()
    assert not app.exception
    for one in app.error:
        is_a_sentence(one.value.replace("\\", ""))
    # After a restart of the server it is gone, which is one sentence.
    st.cache_resource.clear()
    app.run()
    assert not app.exception
    (said,) = [one.value.replace("\\", "") for one in app.error if "no preset" in one.value]
    is_a_sentence(said)


class Job:
    """A job that waits for a word."""

    def __init__(self) -> None:
        self.begun, self.go_on = 0, threading.Event()

    def __call__(self, progress: Progress) -> str:
        self.begun += 1
        progress("Counting", 0.5, "")
        assert self.go_on.wait(60)
        progress("Counting", 1.0, "")
        return "counted"


JOB = Job()


@kept(max_entries=2)
def counting(number: int) -> Work[str]:
    return Work(JOB, "Counting")


def _page() -> None:
    import streamlit as st

    from tests.pages.test_faults import counting

    found = counting.shown(1)
    if found is not None:
        st.write(found)


def test_a_job_goes_on_when_its_browser_is_gone() -> None:
    def shown(app: AppTest) -> Callable[[], bool]:
        return lambda: [one.value for one in app.run().markdown] == ["counted"]

    first = AppTest.from_function(_page).run()
    assert not first.exception and JOB.begun == 1
    del first
    gc.collect()
    # Whoever opens the page next finds it further on, and the job was begun once.
    second = AppTest.from_function(_page).run()
    assert not second.exception and not shown(second)() and JOB.begun == 1
    JOB.go_on.set()
    until(shown(second), seconds=30)
    assert JOB.begun == 1
