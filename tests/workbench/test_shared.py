"""What is kept of an open lab, and that nothing keeps a closed one."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.sources.presets import Opened, Preset
from workbench import shared, visitor
from workbench.background import Work
from workbench.state import Setting
from workbench.steer import experiments


@pytest.fixture(autouse=True)
def labs(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every preset opens as a small lab of its own."""

    def opening(preset: Preset, progress: Progress) -> Lab:
        return replace(small_lab, preset=preset)

    monkeypatch.setattr(shared, "open_lab", opening)
    monkeypatch.setattr(
        visitor, "preset_of", lambda opened: replace(small_lab.preset, name=opened.name)
    )
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.mark.slow
def test_a_lab_that_is_closed_is_let_go_with_all_that_was_made_of_it() -> None:
    lab = shared.get_lab(Opened("first"))
    explorer = shared.get_explorer(lab)
    experiment = experiments.get_experiment(Setting(preset=Opened("first")))
    assert shared.get_explorer(lab) is explorer
    assert experiments.get_experiment(Setting(preset=Opened("first"))) is experiment
    gone = [weakref.ref(one) for one in (lab, explorer, experiment)]
    del lab, explorer, experiment
    gc.collect()
    assert None not in [one() for one in gone]
    for name in ("second", "third"):
        lab = shared.get_lab(Opened(name))
        assert shared.get_explorer(lab).lab is lab
    gc.collect()
    assert [one() for one in gone] == [None] * 3


def test_what_is_made_of_a_lab_is_made_once_and_the_oldest_goes_first() -> None:
    made: list[int] = []

    @shared.of_lab(most=2)
    def doubled(lab: Lab, number: int) -> int:
        made.append(number)
        return 2 * number

    lab = shared.get_lab(Opened("first"))
    assert [doubled(lab, one) for one in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made == [1, 2, 3, 2]
    doubled.clear(lab, 2)
    assert doubled(lab, 2) == 4 and made == [1, 2, 3, 2, 2]


def test_work_of_a_lab_that_failed_is_begun_again() -> None:
    begun: list[int] = []

    @shared.work_of_lab(most=2)
    def opening(lab: Lab, number: int) -> Work[int]:
        begun.append(number)
        first = len(begun) == 1

        def work(progress: Progress) -> int:
            if first:
                raise UserError("There is no network.")
            return number

        return Work(work, "Opening")

    lab = shared.get_lab(Opened("first"))
    with pytest.raises(UserError, match="no network"):
        opening(lab, 3)
    assert opening(lab, 3) == opening(lab, 3) == 3 and begun == [3, 3]
