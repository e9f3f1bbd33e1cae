"""What a session waits for is said in its place on the page, and gone when the wait is over."""

import threading
from concurrent.futures import Future

import pytest

from metasae.lm import turns as turns_module
from metasae.lm.turns import Turns
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
