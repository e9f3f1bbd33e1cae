"""Slow work in a thread: its progress, its result, and what becomes of its errors."""

import threading

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from metasae.errors import UserError
from metasae.progress import Progress
from workbench.background import Cancelled, Kept, Work, kept


def test_work_returns_what_its_work_returns() -> None:
    def work(progress: Progress) -> int:
        progress("Downloading", 0.5, "46 of 93 MB")
        return 7

    begun = Work(work, "Opening the model")
    assert begun.wait() == 7
    assert begun.fraction == 0.5
    assert begun.line == "Downloading · 46 of 93 MB"


def test_work_says_how_long_it_will_take() -> None:
    reported, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> None:
        for step in range(5):
            progress("Searching", step / 10, "")
        reported.set()
        go_on.wait(10)

    begun = Work(work, "Searching")
    assert reported.wait(10)
    assert begun.line.startswith("Searching · about ") and begun.line.endswith(" left")
    go_on.set()
    begun.wait()


def test_what_the_user_can_mend_is_passed_on() -> None:
    def work(progress: Progress) -> None:
        raise UserError("There is no space.")

    with pytest.raises(UserError, match=r"There is no space\."):
        Work(work, "Opening the model").wait()


def test_anything_else_is_one_sentence_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def work(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(UserError, match="Opening the model did not succeed") as raised:
        Work(work, "Opening the model").wait()
    assert "ZeroDivision" not in str(raised.value)
    assert caplog.records[0].exc_info is not None


def test_work_that_failed_is_begun_again_and_work_that_did_not_is_kept() -> None:
    begun: list[int] = []

    @kept(max_entries=2)
    def opening(number: int) -> Work[int]:
        begun.append(number)
        times = len(begun)

        def work(progress: Progress) -> int:
            if times == 1:
                raise UserError("There is no network.")
            return 10 * number

        return Work(work, "Opening")

    with pytest.raises(UserError, match="no network"):
        opening(3)
    assert opening(3) == opening(3) == 30
    assert begun == [3, 3]


def test_a_failure_is_logged_once_however_often_it_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work(progress: Progress) -> None:
        raise ZeroDivisionError

    begun = Work(work, "Searching")
    for _ in range(3):
        with pytest.raises(UserError, match="Searching did not succeed"):
            begun.wait()
    assert len(caplog.records) == 1


class Steps:
    """Work that goes on step by step as it is told to."""

    def __init__(self) -> None:
        self.go_on, self.stepped = threading.Semaphore(0), threading.Semaphore(0)
        self.begun, self.ended = 0, 0

    def __call__(self, progress: Progress) -> str:
        self.begun += 1
        for step in range(3):
            progress("Searching", step / 3, "")
            self.stepped.release()
            assert self.go_on.acquire(timeout=20)
        progress("Searching", 1.0, "")
        self.ended += 1
        return "found"


def test_cancelled_work_stops_where_it_next_reports_and_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = Steps()
    begun = Work(steps, "Searching")
    assert steps.stepped.acquire(timeout=20)
    begun.cancel()
    assert begun.cancelled and not begun.done
    steps.go_on.release()
    with pytest.raises(Cancelled, match=r"Searching was cancelled\."):
        begun.wait()
    assert steps.ended == 0 and caplog.records == []


def test_work_that_is_done_cant_be_cancelled() -> None:
    begun = Work(lambda progress: 7, "Searching")
    assert begun.wait() == 7
    begun.cancel()
    assert not begun.cancelled and begun.result() == 7


def a_page(searching: "Kept[[int], str]") -> None:
    """A page that shows what kept work finds, and something beside it."""
    import streamlit as st

    number = int(st.number_input("Number", 0, 9, 1, key="number"))
    found = searching.shown(number)
    st.markdown("nothing yet" if found is None else found)
    st.markdown(f"number {number}")


STEPS: dict[int, Steps] = {}


@kept(max_entries=4)
def searching(number: int) -> Work[str]:
    return Work(STEPS[number], f"Searching {number}")


@pytest.fixture
def steps() -> dict[int, Steps]:
    """The work of each number."""
    STEPS.clear()
    STEPS.update({number: Steps() for number in range(1, 4)})
    st.cache_resource.clear()
    return STEPS


def shown(app: AppTest) -> list[str]:
    assert not app.exception
    return [one.value for one in app.markdown]


def test_a_page_goes_on_while_work_is_under_way(steps: dict[int, Steps]) -> None:
    app = AppTest.from_function(a_page, args=(searching,)).run()
    assert shown(app) == ["nothing yet", "number 1"]
    assert [one.label for one in app.button] == ["Cancel"]
    for _ in range(3):
        steps[1].go_on.release()
    searching.work(1).wait()
    assert shown(app.run()) == ["found", "number 1"]
    assert steps[1].begun == 1 and not app.button


def test_it_is_cancelled_and_begun_again(steps: dict[int, Steps]) -> None:
    app = AppTest.from_function(a_page, args=(searching,)).run()
    app.button[0].click().run()
    assert shown(app) == ["nothing yet", "number 1"]
    assert [one.value for one in app.caption] == ["Searching 1: cancelled."]
    steps[1].go_on.release()
    app.run()
    assert steps[1].begun == 1  # it is not begun again by itself
    (again,) = app.button
    again.click().run()
    assert shown(app)[0] == "nothing yet" and steps[1].begun == 2
    for _ in range(3):
        steps[1].go_on.release()
    searching.work(1).wait()
    assert shown(app.run())[0] == "found"


def test_work_begun_anew_before_the_cancelled_has_ended_is_kept(steps: dict[int, Steps]) -> None:
    app = AppTest.from_function(a_page, args=(searching,)).run()
    app.button[0].click().run()
    (again,) = app.button
    again.click().run()  # the cancelled thread has not come to a report yet
    anew = searching.work(1)
    assert steps[1].begun == 2 and not anew.cancelled
    app.run()
    assert searching.work(1) is anew
    for _ in range(8):
        steps[1].go_on.release()
    anew.wait()
    assert shown(app.run())[0] == "found" and steps[1].begun == 2


def test_cancelling_twice_does_not_take_it_back() -> None:
    begun = threading.Event()

    def work(progress: Progress) -> int:
        begun.wait(20)
        progress("Working", 0.5, "")
        return 1

    made = Work(work, "Working")
    made.cancel()
    begun.set()
    with pytest.raises(Cancelled):
        made.wait()
    made.cancel()
    assert made.cancelled and made.done


def test_what_is_asked_for_next_takes_the_place_of_what_was_asked_before(
    steps: dict[int, Steps],
) -> None:
    app = AppTest.from_function(a_page, args=(searching,)).run()
    former = searching.work(1)
    app.number_input(key="number").set_value(2).run()
    assert shown(app) == ["nothing yet", "number 2"]
    assert former.cancelled and not searching.work(2).cancelled
    steps[1].go_on.release()
    with pytest.raises(Cancelled):
        former.wait()
    # Asked for once more it begins anew, and nobody has to say so.
    app.number_input(key="number").set_value(1).run()
    assert shown(app) == ["nothing yet", "number 1"]
    assert not searching.work(1).cancelled and steps[1].begun == 2
    for one in steps.values():
        for _ in range(4):
            one.go_on.release()
    searching.work(1).wait()
