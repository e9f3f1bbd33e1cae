"""Slow work in a thread: its progress, its result, and what becomes of its errors."""

import threading

import pytest

from metasae.errors import UserError
from metasae.progress import Progress
from workbench.background import Work, kept


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

    with pytest.raises(UserError, match="Opening the model did not succeed"):
        Work(work, "Opening the model").wait()
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
