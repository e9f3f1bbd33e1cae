"""A small class at a real server: nobody sees another's edit, and nothing goes wrong."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.classroom import Lesson, Seen, come, lesson
from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.link import edit_from_text
from tests import small_lab
from tests.browser.serving import Server, serving
from tests.guest import Drawn, Guest, Numbers

APP = "tests/small_app.py"

TOGGLES = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small lab."""
    return tmp_path_factory.mktemp("served-lab")


@pytest.fixture(scope="module")
def served(folder: Path) -> Lab:
    """The lab of the server, opened here as well."""
    return small_lab.make(folder)


@pytest.fixture(scope="module")
def server(served: Lab, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for three, of the small lab."""
    log = tmp_path_factory.mktemp("class") / "log.txt"
    own = {"SMALL_LAB": str(folder), "METASAE_SESSIONS": "3"}
    with serving(tmp_path_factory.mktemp("class-cache"), log, APP, own) as server:
        yield server
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def told(served: Lab) -> list[Lesson]:
    """A lesson for each of three, none of which would be satisfied by another's numbers."""
    made: list[Lesson] = []
    for source, target in permutations(served.city_names(), 2):
        with suppress(UserError):
            one = lesson(served.experiment(served.subject(source), served.subject(target)), boxes=2)
            if one is not None and not any(mistaken(one, other) for other in made):
                made.append(one)
        if len(made) == 3:
            return made
    raise AssertionError("fewer than three pairs that differ")


def mistaken(one: Lesson, other: Lesson) -> bool:
    """Whether an edit of one lesson has the numbers of one of another's."""
    return any(
        not complaints(mine, one, shown) for mine in one.shown for shown in other.shown.values()
    )


def complaints(edit: str, lesson: Lesson, shown: Numbers) -> list[str]:
    """What is wrong with some numbers for an edit of a lesson."""
    seen, guest = Seen(), SimpleNamespace(query=lesson.query | {"edit": edit})
    seen.check(guest, Drawn(numbers=shown), lesson, edit_from_text(edit))  # type: ignore[arg-type]
    return seen.errors


async def toggled(guest: Guest, lesson: Lesson, seen: Seen) -> int:
    """Click a guest's boxes in turn; how many clicks were answered with a picture."""
    edit: Edit = NO_EDIT
    answered = 0
    for number in range(TOGGLES):
        piece = lesson.pieces[number % len(lesson.pieces)]
        edit = lesson.toggled(edit, piece)
        drawn = await guest.toggle(f"box-{piece.meta}")
        seen.check(guest, drawn, lesson, edit)
        answered += drawn.seconds is not None
    return answered


def test_three_at_once_each_see_their_own_edits(server: Server, told: list[Lesson]) -> None:
    async def teach() -> tuple[Seen, list[int]]:
        seen = Seen()
        async with AsyncExitStack() as stack:
            arriving = (come(stack, server.address, one, seen) for one in told)
            there = [one for one in await asyncio.gather(*arriving) if one is not None]
            answers = await asyncio.gather(
                *(toggled(guest, lesson, seen) for lesson, guest in there)
            )
        return seen, answers

    seen, answered = asyncio.run(teach())
    assert seen.errors == []
    assert answered == [TOGGLES] * 3


def test_the_next_one_is_told_and_comes_in_when_somebody_has_left(
    server: Server, told: list[Lesson]
) -> None:
    async def teach() -> tuple[list[str], list[str]]:
        refused, after = Seen(), Seen()
        async with AsyncExitStack() as stack:
            last = await stack.enter_async_context(AsyncExitStack())
            for one in told[:2]:
                assert await come(stack, server.address, one, Seen()) is not None
            assert await come(last, server.address, told[2], Seen()) is not None
            assert await come(stack, server.address, told[0], refused) is not None
            await last.aclose()
            for _ in range(50):
                after = Seen()
                async with AsyncExitStack() as next_one:
                    await come(next_one, server.address, told[2], after)
                if not after.errors:
                    break
                await asyncio.sleep(0.1)
        return refused.errors, after.errors

    refused, after = asyncio.run(teach())
    assert refused[0].startswith("3 browser tabs are open on this server")
    assert after == []


def test_other_numbers_than_the_edits_own_are_an_error(told: list[Lesson]) -> None:
    mine = told[0]
    edits = list(mine.shown)
    for edit in edits:
        assert complaints(edit, mine, mine.shown[edit]) == []
    moved = {key: value + 0.01 for key, value in mine.shown["none"].items()}
    assert "other numbers than none has" in complaints("none", mine, moved)[0]
    assert len(complaints("none", mine, {})) == 1
    seen = Seen()
    guest = SimpleNamespace(query=mine.query | {"edit": edits[-1]})
    drawn = Drawn(numbers=mine.shown["none"], complaints=["It went wrong."])
    seen.check(guest, drawn, mine, NO_EDIT)  # type: ignore[arg-type]
    assert seen.errors == ["It went wrong.", f"the address says {edits[-1]} in place of none"]
