"""What is kept of an open lab, and that nothing keeps a closed one."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.sources.presets import Opened, Preset
from metasae.steering.edits import NO_EDIT
from metasae.steering.setting import Setting
from workbench import guests, shared, visitor
from workbench.background import Work
from workbench.guests import Guest
from workbench.limits import Limit
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


def doubling(most: int) -> tuple[shared.OfLab[[int], int], list[int]]:
    """Twice a number, kept with a lab, and the numbers it was worked out for."""
    made: list[int] = []

    @shared.of_lab(most=most)
    def doubled(lab: Lab, number: int) -> int:
        made.append(number)
        return 2 * number

    return doubled, made


def test_what_is_made_of_a_lab_is_made_once_and_the_oldest_goes_first() -> None:
    doubled, made = doubling(most=2)
    lab = shared.get_lab(Opened("first"))
    assert [doubled(lab, one) for one in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made == [1, 2, 3, 2]
    doubled.clear(lab, 2)
    assert doubled(lab, 2) == 4 and made == [1, 2, 3, 2, 2]


@pytest.mark.parametrize("asked", range(1, 8))
def test_nothing_goes_before_there_is_more_than_may_be_kept(asked: int) -> None:
    doubled, made = doubling(most=5)
    lab = shared.get_lab(Opened("first"))
    for number in range(asked):
        assert doubled(lab, number) == 2 * number
    kept = range(max(0, asked - 5), asked)
    for number in kept:
        doubled(lab, number)
    assert made == list(range(asked))


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


def test_what_many_ask_for_at_once_is_made_once_and_holds_up_nobody_else() -> None:
    go_on, made = threading.Event(), list[int]()

    @shared.of_lab(most=4)
    def slow(lab: Lab, number: int) -> int:
        made.append(number)
        if number == 1:
            assert go_on.wait(20)
        return 2 * number

    lab = shared.get_lab(Opened("first"))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(slow, lab, 1) for _ in range(8)]
        while not made:
            pass
        assert slow(lab, 2) == 4  # while the other is under way
        go_on.set()
        assert [one.result(20) for one in asked] == [2] * 8
    assert made == [1, 2]


def test_who_waits_for_what_failed_is_told_and_the_next_tries_again() -> None:
    go_on, made = threading.Event(), list[int]()

    @shared.of_lab(most=4)
    def failing(lab: Lab) -> int:
        made.append(1)
        assert go_on.wait(20)
        if len(made) == 1:
            raise UserError("No.")
        return 7

    lab = shared.get_lab(Opened("first"))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(failing, lab) for _ in range(3)]
        while not made:
            pass
        time.sleep(0.05)  # the others have asked
        go_on.set()
        assert {str(one.exception(20)) for one in asked} == {"No."}
    assert failing(lab) == 7 and made == [1, 1]


def test_who_is_interrupted_while_making_leaves_it_to_the_next() -> None:
    go_on, made = threading.Event(), list[int]()

    class Interrupted(BaseException):
        pass

    @shared.of_lab(most=4)
    def interrupted(lab: Lab) -> int:
        made.append(1)
        assert go_on.wait(20)
        if len(made) == 1:
            raise Interrupted
        return 7

    lab = shared.get_lab(Opened("first"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(interrupted, lab)
        while not made:
            pass
        second = pool.submit(interrupted, lab)
        time.sleep(0.05)
        go_on.set()
        assert isinstance(first.exception(20), Interrupted)
        assert second.result(20) == 7


def test_how_much_is_kept_can_be_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    @shared.of_lab(Limit("TEST_KEPT", 1))
    def doubled(lab: Lab, number: int) -> int:
        made.append(number)
        return 2 * number

    lab = shared.get_lab(Opened("first"))
    assert [doubled(lab, one) for one in (1, 2, 1)] == [2, 4, 2] and made == [1, 2, 1]
    monkeypatch.setenv("TEST_KEPT", "2")
    assert [doubled(lab, one) for one in (2, 1, 2)] == [4, 2, 4] and made == [1, 2, 1, 2]


@pytest.mark.slow
def test_an_empty_server_keeps_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "ALONE", 0.05)
    setting = Setting(preset=Opened("first"))
    lab = shared.get_lab(Opened("first"))
    explorer = shared.get_explorer(lab)
    pair = weakref.ref(experiments.get_experiment(setting))
    experiments.get_outcome(setting, NO_EDIT)
    leaving, staying = Guest("leaving"), Guest("staying")
    monkeypatch.setattr(guests, "_here", {leaving, staying})
    leaving.leave()
    time.sleep(0.3)
    assert pair() is experiments.get_experiment(setting)  # somebody is here
    staying.leave()
    for _ in range(100):
        if pair() is None:
            break
        time.sleep(0.05)
    assert pair() is None
    assert shared.get_explorer(lab) is explorer
