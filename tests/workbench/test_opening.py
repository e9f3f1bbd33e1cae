"""Slow work in a thread: its progress, its result, and what becomes of its errors."""

import threading

import pytest

from metasae.errors import UserError
from metasae.progress import Progress
from workbench.background import Task


def test_a_task_returns_what_its_work_returns() -> None:
    def work(progress: Progress) -> int:
        progress("Downloading", 0.5, "46 of 93 MB")
        return 7

    task = Task(work, "Opening the model")
    assert task.wait() == 7
    assert task.fraction == 0.5
    assert task.line == "Downloading · 46 of 93 MB"


def test_a_task_says_how_long_it_will_take() -> None:
    reported, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> None:
        for step in range(5):
            progress("Searching", step / 10, "")
        reported.set()
        go_on.wait(10)

    task = Task(work, "Searching")
    assert reported.wait(10)
    assert task.line.startswith("Searching · about ") and task.line.endswith(" left")
    go_on.set()
    task.wait()


def test_what_the_user_can_mend_is_passed_on() -> None:
    def work(progress: Progress) -> None:
        raise UserError("There is no space.")

    with pytest.raises(UserError, match=r"There is no space\."):
        Task(work, "Opening the model").wait()


def test_anything_else_is_one_sentence_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def work(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(UserError, match="Opening the model did not succeed"):
        Task(work, "Opening the model").wait()
    assert caplog.records[0].exc_info is not None
