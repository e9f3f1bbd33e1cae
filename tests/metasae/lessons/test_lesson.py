"""A step's check: what it finds, and that what can't be asked is an answer."""

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bar, Bars, Found, Step
from metasae.progress import Progress
from tests.benches import bench


def step(check: object) -> Step:
    return Step("One", "Look at {source}.", "What of {target}?", "It is.", check)  # type: ignore[arg-type]


def test_a_step_is_checked_once(small_lab: Lab) -> None:
    calls = []

    def check(taught: Bench, progress: Progress) -> Found:
        calls.append(taught.source)
        return Found(True, "Yes.")

    taught = bench(small_lab)
    one = step(check)
    assert one.found(taught) == one.found(taught) == Found(True, "Yes.")
    assert calls == ["Tokyo"]


def test_what_can_not_be_asked_is_said_and_asked_again(small_lab: Lab) -> None:
    answers = iter([UserError("There is no text."), None])

    def check(taught: Bench, progress: Progress) -> Found:
        if (error := next(answers)) is not None:
            raise error
        return Found(True, "Now.")

    taught, one = bench(small_lab), step(check)
    assert one.found(taught) == Found(
        False, "This can't be asked of what is open.", "There is no text.", asked=False
    )
    assert one.found(taught) == Found(True, "Now.")


def test_the_answers_picture_takes_the_questions_place_where_there_is_one() -> None:
    first, second = (Bars(name, ()) for name in ("before", "after"))
    assert Found(True, "", before=first).shown is first
    assert Found(True, "", before=first, after=second).shown is second
    assert Found(True, "").shown is None


def test_a_bars_value_is_read_with_two_decimals_unless_it_is_told_otherwise() -> None:
    assert Bar("x", 0.126).told == "0.13"
    assert Bar("x", 0.126, text="13 %").told == "13 %"
