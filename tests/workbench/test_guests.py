"""Sessions are counted, and what one alone waited for is let go when it leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.caching import clear_session_resource_cache
from streamlit.testing.v1 import AppTest

from metasae.progress import Progress
from workbench import background, guests
from workbench.background import Cancelled, Kept, Work, kept
from workbench.guests import Guest

TESTS_SESSION = "test session id"
"""What Streamlit calls the session of an `AppTest`."""


class Endless:
    """Work that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.step = threading.Event()

    def __call__(self, progress: Progress) -> str:
        self.begun += 1
        while not self.step.wait(0.001):
            progress("Working", 0.5, "")
        return "found"


WORK = Endless()


@kept(max_entries=4)
def working(number: int) -> Work[str]:
    return Work(WORK, f"Working {number}")


def a_page(working: "Kept[[int], str]") -> None:
    import streamlit as st

    from workbench import guests

    st.markdown(f"{guests.count()} here")
    found = working.shown(int(st.number_input("Number", 0, 9, 1, key="number")))
    st.markdown("nothing yet" if found is None else found)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    st.cache_resource.clear()
    WORK.__init__()  # type: ignore[misc]
    yield
    WORK.step.set()
    st.cache_resource.clear()


@pytest.fixture
def come(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the next run of a page be another session's."""
    people: dict[str, Guest] = {}

    def come(name: str) -> None:
        guest = people.setdefault(name, Guest(name))
        monkeypatch.setattr(guests, "here", lambda: guest)
        monkeypatch.setattr(guests, "name", lambda: name)

    return come


def said(app: AppTest) -> list[str]:
    assert not app.exception
    return [one.value for one in (*app.markdown, *app.caption)]


def test_a_session_that_leaves_lets_go_of_what_it_waited_for() -> None:
    app = AppTest.from_function(a_page, args=(working,)).run()
    work = working.work(1)
    assert guests.count() == 1 and not work.cancelled
    clear_session_resource_cache(TESTS_SESSION)  # as Streamlit does when a connection ends
    assert guests.count() == 0 and work.cancelled
    with pytest.raises(Cancelled):
        work.wait()
    # One that comes back is asked nothing: it is begun anew.
    assert said(app.run())[-1] == "nothing yet" and guests.count() == 1
    assert working.work(1) is not work and not working.work(1).cancelled


def test_what_two_sessions_ask_for_is_done_once_and_for_both(come: Callable[[str], None]) -> None:
    come("Ann")
    ann = AppTest.from_function(a_page, args=(working,)).run()
    come("Bob")
    bob = AppTest.from_function(a_page, args=(working,)).run()
    work = working.work(1)
    come("Ann")
    ann.number_input(key="number").set_value(2).run()  # it waits for other work now
    assert not work.cancelled
    ann.number_input(key="number").set_value(1).run()
    come("Bob")
    bob.number_input(key="number").set_value(2).run()
    assert not work.cancelled and working.work(1) is work
    WORK.step.set()
    assert work.wait() == "found"
    come("Ann")
    assert said(ann.run())[-1] == "found"


def test_who_cancels_what_another_waits_for_only_leaves(come: Callable[[str], None]) -> None:
    apps = {}
    for name in ("Ann", "Bob"):
        come(name)
        apps[name] = AppTest.from_function(a_page, args=(working,)).run()
    work = working.work(1)
    come("Ann")
    apps["Ann"].button[0].click().run()
    assert said(apps["Ann"])[-1] == "Working 1: cancelled." and not work.cancelled
    apps["Ann"].button[0].click().run()
    assert [one.label for one in apps["Ann"].button] == ["Cancel"] and working.work(1) is work
    apps["Ann"].button[0].click().run()
    come("Bob")
    assert [one.label for one in apps["Bob"].run().button] == ["Cancel"]
    apps["Bob"].button[0].click().run()
    assert work.cancelled  # nobody waits any more


def a_page_that_waits(working: "Kept[[int], str]") -> None:
    import streamlit as st

    from metasae.errors import UserError

    try:
        st.markdown(working(1))
    except UserError as error:
        st.caption(str(error))


def test_who_cancels_what_the_page_waits_for_is_told_and_may_ask_again(
    come: Callable[[str], None],
) -> None:
    come("Ann")
    app = AppTest.from_function(a_page_that_waits, args=(working,))
    work = working.work(1)
    # As the button's callback does before the run that follows.
    work.let_go("Ann")
    assert said(app.run()) == ["Working 1 was cancelled."] and work.cancelled
    WORK.step.set()
    assert said(app.run()) == ["found"] and working.work(1) is not work


def test_who_cancels_waits_no_longer_and_others_do(come: Callable[[str], None]) -> None:
    come("Ann")
    app = AppTest.from_function(a_page_that_waits, args=(working,))
    work = working.work(1)
    work.take_up("Bob")
    work.let_go("Ann")
    assert said(app.run()) == ["Working 1 was cancelled."]
    assert not work.cancelled and working.work(1) is work
    WORK.step.set()
    assert said(app.run()) == ["found"] and WORK.begun == 1


def test_what_is_waited_for_can_be_cancelled(come: Callable[[str], None]) -> None:
    come("Ann")
    drawn: list[list[str]] = []
    button = st.button

    def noted(label: str, **options: Any) -> bool:
        drawn.append([label, options["key"]])
        options["on_click"](*options["args"])  # at once, and the run is not interrupted
        return button(label, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "button", noted)
        app = AppTest.from_function(a_page_that_waits, args=(working,)).run()
    assert said(app) == ["Working 1 was cancelled."]
    (one,) = drawn
    assert one[0] == "Cancel" and len(app.button) == 0


def test_what_others_cancelled_is_begun_anew_for_who_asks_next(come: Callable[[str], None]) -> None:
    come("Ann")
    app = AppTest.from_function(a_page, args=(working,)).run()
    work = working.work(1)
    app.button[0].click().run()
    assert work.cancelled
    come("Bob")
    other = AppTest.from_function(a_page, args=(working,)).run()
    assert [one.label for one in other.button] == ["Cancel"] and working.work(1) is not work


def test_there_are_only_so_many_and_the_next_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METASAE_SESSIONS", "1")
    monkeypatch.setattr(guests, "_here", {Guest("another")})
    app = AppTest.from_file("../../workbench/app.py").run()
    (error,) = app.error
    assert error.value.startswith("1 browser tabs are open on this server")
    assert not app.title and [one.label for one in app.button] == ["Try again"]


def test_work_in_line_says_its_place_and_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METASAE_SHORT_WORK", "1")
    running = Work(WORK, "Working")
    while not WORK.begun:
        pass
    other = Work(lambda progress: 1, "Searching")
    while "turn" not in other.line:
        assert other.waiting
    assert other.line == "Searching: waits for its turn, 1 other is before it"
    other.cancel()
    with pytest.raises(Cancelled):
        other.wait()
    WORK.step.set()
    assert running.wait() == "found"


def test_long_work_is_not_before_short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METASAE_LONG_WORK", "1")
    monkeypatch.setenv("METASAE_WAITING", "1")
    running = [Work(WORK, "Training", long=True)]
    while not WORK.begun:
        pass
    running.append(Work(WORK, "Training", long=True))
    while not background._LONG._line:
        pass
    with pytest.raises(Exception, match="1 others wait already"):
        Work(WORK, "Training", long=True).wait()
    assert Work(lambda progress: 7, "Looking").wait() == 7
    WORK.step.set()
    for one in running:
        one.wait()


@pytest.mark.slow
def test_who_was_here_in_the_meantime_begins_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[float] = []
    monkeypatch.setattr(guests, "ALONE", 0.4)
    monkeypatch.setattr(guests, "_here", set())
    monkeypatch.setattr(guests, "_when_empty", {lambda: emptied.append(time.monotonic())})
    began = time.monotonic()
    Guest("first").leave()
    time.sleep(0.3)
    Guest("again").leave()
    time.sleep(0.25)
    assert not emptied  # 0.4 seconds after the first, when nobody was here for less
    time.sleep(0.5)
    assert len(emptied) == 1 and emptied[0] - began >= 0.7
