"""Opening a model is cancelled from the page that waits for it, at a real server."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests import small_lab
from tests.browser.serving import Server, serving
from tests.guest import Guest, visit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A file with a line for every opening that was begun."""
    return tmp_path / "begun.txt"


@pytest.fixture
def server(tmp_path: Path, begun: Path) -> Iterator[Server]:
    small_lab.make(tmp_path / "lab")
    own = {"SMALL_LAB": str(tmp_path / "lab"), "OPENINGS": str(begun)}
    with serving(tmp_path / "cache", tmp_path / "log.txt", "tests/slow_app.py", own) as server:
        yield server
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def labelled(guest: Guest, label: str) -> list[str]:
    """Keys of the buttons that are called so."""
    return [key for key, button in guest.buttons.items() if button.label == label]


async def waiting(guest: Guest) -> None:
    """Open the page as far as the button that cancels."""
    await guest.open(enough=lambda: bool(labelled(guest, "Cancel")))


async def cancelled(guest: Guest) -> float:
    """Press it; seconds until the page says so."""
    (cancel,) = labelled(guest, "Cancel")
    began = time.perf_counter()
    drawn = await guest.press(cancel)
    assert drawn.complaints == [] and labelled(guest, "Try again")
    return time.perf_counter() - began


def test_who_cancels_an_opening_leaves_it_and_the_last_one_stops_it(
    server: Server, begun: Path
) -> None:
    async def class_of_two() -> None:
        async with AsyncExitStack() as stack:
            ann, bob = [
                await stack.enter_async_context(visit(server.address, {})) for _ in range(2)
            ]
            await asyncio.gather(waiting(ann), waiting(bob))
            assert await cancelled(ann) < 10
            # Who tries again waits for the opening that goes on for the other.
            async with visit(server.address, {}) as again:
                await waiting(again)
                assert begun.read_text() == "begun\n"
                assert await cancelled(again) < 10
            assert await cancelled(bob) < 10
            async with visit(server.address, {}) as last:
                await waiting(last)
                assert begun.read_text() == "begun\n" * 2
                await cancelled(last)

    asyncio.run(class_of_two())
