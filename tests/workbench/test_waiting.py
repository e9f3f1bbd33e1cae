"""What a session waits for is said in its place on the page, and gone when the wait is over."""

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from metasae.lm import turns as turns_module
from metasae.lm.turns import Turns
from tests.browser.serving import serving
from tests.guest import Drawn, visit
from tests.waiting_app import WHAT
from workbench import waiting

TURNS, HELD, LET_GO = Turns(), threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are announced at once, and nothing is held."""
    monkeypatch.setattr(turns_module, "SILENT", 0.01)
    monkeypatch.setattr(waiting, "SILENT", 0.01)
    HELD.clear()
    LET_GO.clear()


def hold() -> None:
    """Another's turn."""
    with TURNS:
        HELD.set()
        LET_GO.wait(20)


class Place:
    """A place on the page that notes what it says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, body: str) -> None:
        self.said.append(body)
        LET_GO.set()

    def empty(self) -> None:
        self.said.append("")


def test_the_place_in_line_is_said_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    monkeypatch.setattr(waiting, "_place", lambda: place)
    threading.Thread(target=hold, daemon=True).start()
    assert HELD.wait(20)
    with waiting.said("The edit is made"), TURNS:
        assert place.said == [waiting.in_line("The edit is made", 1), ""]
    with waiting.said("The edit is made"), TURNS:
        assert len(place.said) == 2  # nobody was before


def test_who_waits_for_what_another_asked_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    place, made = Place(), Future[int]()
    monkeypatch.setattr(waiting, "_place", lambda: place)

    def finish() -> None:
        LET_GO.wait(20)
        made.set_result(7)

    threading.Thread(target=finish, daemon=True).start()
    assert waiting.of_another(made, "The edit is made") == 7
    assert place.said == ["The edit is made: another asked for the same a moment before you.", ""]
    assert waiting.of_another(made, "The edit is made") == 7 and len(place.said) == 2


def test_one_and_several() -> None:
    assert waiting.in_line("The edit is made", 1) == (
        "The edit is made: 1 other has its turn at the model before you."
    )
    assert waiting.in_line("The pair is prepared", 3) == (
        "The pair is prepared: 3 others have their turns at the model before you."
    )


def test_outside_of_a_page_nothing_is_said_and_all_is_done() -> None:
    with waiting.said("The edit is made"), TURNS:
        pass
    made: Future[int] = Future()
    threading.Timer(0.05, made.set_result, (7,)).start()
    assert waiting.of_another(made, "The edit is made") == 7


@pytest.mark.slow
def test_a_part_of_a_page_says_it_where_it_may_and_breaks_nowhere(tmp_path: Path) -> None:
    # What was drawn before a fragment is closed to it when it runs alone.
    async def click(address: str, key: str) -> Drawn:
        async with visit(address, {}) as guest:
            await guest.open()
            return await guest.toggle(key)

    with serving(tmp_path / "cache", tmp_path / "log.txt", "tests/waiting_app.py") as server:
        told = asyncio.run(click(server.address, "told"))
        untold = asyncio.run(click(server.address, "untold"))
    assert told.lines == [waiting.in_line(WHAT, 1), "made"] and not told.complaints
    assert untold.lines == ["made"] and not untold.complaints


def test_a_result_that_comes_as_the_wait_ends_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            if self.done():
                return super().result(timeout)
            self.set_result(7)
            raise TimeoutError

    place = Place()
    monkeypatch.setattr(waiting, "_place", lambda: place)
    assert waiting.of_another(Late(), "The edit is made") == 7 and not place.said
