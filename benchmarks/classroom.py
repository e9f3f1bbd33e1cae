"""A class at one server: many sessions over real connections, each toggling every two seconds.

The app is started on two processors, and guests come by links, each with a pair of cities of its
own. A guest speaks Streamlit's own protocol (`tests.guest`), so that thirty of them cost little
beside the server. Each clicks one box every two seconds, reads the numbers out of what is drawn,
and holds them against the library's own numbers for its edit, which were computed before. What is
drawn for another's edit would differ, and counts as an error.

Timed from sending a click to the picture with the new numbers. The clients and the server share the
processors where the machine has no more. Memory is what the kernel says the server's process holds.

    python -m benchmarks.classroom [--sessions 30] [--minutes 5] [--search] [--quick] [--json]
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.exceptions import WebSocketException

from benchmarks.figures import parser, percentile, print_figures
from benchmarks.interaction import processor_seconds
from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.progress import silent
from metasae.sources.cache import cache_dir
from metasae.steering.edit_space import Piece
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.experiment import Experiment
from metasae.steering.link import edit_to_text
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from tests.browser.serving import serving
from tests.guest import Drawn, Guest, Numbers, visit
from tests.own_cache import own_cache
from workbench.charts.answers import LOWEST
from workbench.state import View
from workbench.steer.boxes import shown_strength, with_strength

EVERY = 2.0
"""Seconds from one click of a guest to the next; one that waited longer clicks at once."""

BOXES = 4
"""Boxes a guest clicks, so that its edits are 2 to the power of that."""

CLOSE = 2e-3
"""Nats within which numbers are the same: batches of other sizes round otherwise."""

PROCESSORS = 2
"""Processors the server has, where the machine has more."""

AFTER = 150.0
"""Seconds after which what the last guest held is gone: for two minutes Streamlit keeps the session
of one whose connection broke."""

PATIENCE = 120.0
"""Seconds after which a guest gives up on an answer."""

AIMS = {"p95_ms": 2000.0, "errors": 0, "growth": 0.1}


@dataclass(frozen=True)
class Lesson:
    """What a guest does, and what it has to be shown.

    Attributes:
        query: of its link.
        pieces: whose boxes it clicks.
        shown: the picture's numbers for each of its edits, by the edit's text.
    """

    query: dict[str, str]
    experiment_pieces: tuple[Piece, ...]
    pieces: tuple[Piece, ...]
    shown: dict[str, Numbers]

    def toggled(self, edit: Edit, piece: Piece) -> Edit:
        """The edit with a box clicked."""
        strength = 0.0 if shown_strength(edit, piece) else 1.0
        return with_strength(edit, self.experiment_pieces, piece, strength)


def picture(outcome: Outcome) -> Numbers:
    """Where the answers' points are in an outcome's picture."""
    rows = outcome.answers.to_dict("records")
    return {(row["attribute"], row["answer"]): max(row["logprob"], LOWEST) for row in rows}


def lessons(lab: Lab, boxes: int = BOXES) -> Iterator[Lesson]:
    """Lessons on as many pairs as there are, no two alike."""
    names = lab.city_names()
    for apart in range(1, len(names)):
        for number, source in enumerate(names):
            with suppress(UserError):
                target = names[(number + apart) % len(names)]
                made = lesson(lab.experiment(lab.subject(source), lab.subject(target)), boxes)
                if made is not None:
                    yield made


def lesson(experiment: Experiment, boxes: int = BOXES) -> Lesson | None:
    """The lesson on a pair; None where it has too few boxes."""
    pieces = experiment.pieces[:boxes]
    if len(pieces) < boxes:
        return None
    shown = {}
    for flipped in product((False, True), repeat=boxes):
        edit: Edit = NO_EDIT
        for piece, flip in zip(pieces, flipped, strict=True):
            if flip:
                strength = 0.0 if shown_strength(edit, piece) else 1.0
                edit = with_strength(edit, experiment.pieces, piece, strength)
        shown[edit_to_text(edit)] = picture(experiment.apply(edit))
    pair = Setting(source=experiment.source.label, target=experiment.target.label)
    return Lesson(View(pair).to_query(), experiment.pieces, pieces, shown)


@dataclass
class Seen:
    """What the guests were shown.

    Attributes:
        waits: seconds from a click to its numbers.
        opened: seconds from coming to the first numbers.
        errors: in words.
        searches: how many of the searching guest's searches ended.
    """

    waits: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    searches: int = 0

    def check(self, guest: Guest, drawn: Drawn, lesson: Lesson, edit: Edit) -> None:
        """Note what is wrong with what a guest was shown for its edit."""
        self.errors += drawn.complaints
        text = edit_to_text(edit)
        if (written := guest.query.get("edit", "none")) != text:
            self.errors.append(f"the address says {written} in place of {text}")
        wanted = lesson.shown[text]
        off = [key for key, value in wanted.items() if not _same(drawn.numbers.get(key), value)]
        if off:
            self.errors.append(f"other numbers than {text} has at {off[0]}: {lesson.query}")


def _same(shown: float | None, value: float) -> bool:
    return shown is not None and abs(shown - value) < CLOSE


async def come(
    stack: AsyncExitStack, address: str, lesson: Lesson, seen: Seen
) -> tuple[Lesson, Guest] | None:
    """A guest who came by a link and was shown the first numbers; None where that failed."""
    began = time.perf_counter()
    try:
        guest = await stack.enter_async_context(visit(address, lesson.query))
        drawn = await asyncio.wait_for(guest.open(), PATIENCE)
    except (OSError, TimeoutError, WebSocketException) as error:
        seen.errors.append(f"a guest could not come: {error!r}")
        return None
    seen.opened.append(time.perf_counter() - began)
    seen.check(guest, drawn, lesson, NO_EDIT)
    return lesson, guest


async def attend(guest: Guest, lesson: Lesson, number: int, seconds: float, seen: Seen) -> None:
    """Toggle until the end."""
    draw, end = random.Random(number), time.perf_counter() + seconds
    edit: Edit = NO_EDIT
    due = time.perf_counter() + draw.uniform(0, EVERY)
    while due < end:
        await asyncio.sleep(due - time.perf_counter())
        piece = draw.choice(lesson.pieces)
        edit = lesson.toggled(edit, piece)
        try:
            drawn = await asyncio.wait_for(guest.toggle(f"box-{piece.meta}"), PATIENCE)
        except (OSError, TimeoutError, WebSocketException) as error:
            seen.errors.append(f"a guest gave up: {error!r}")
            return
        seen.check(guest, drawn, lesson, edit)
        if drawn.seconds is None:
            seen.errors.append("a click drew no picture")
        else:
            seen.waits.append(drawn.seconds)
        due = max(due + EVERY, time.perf_counter())


async def search(address: str, queries: list[dict[str, str]], seen: Seen) -> None:
    """A guest who searches all combinations of one pair after the other."""
    for query in queries:
        async with visit(address, query, "enumerate") as guest:
            seen.errors += (await guest.open()).complaints
            if "search-start" not in guest.buttons:
                continue
            drawn = await guest.press("search-start")
            while cancels := [one for key, one in guest.buttons.items() if "cancel-" in key]:
                await asyncio.sleep(1.0)
                guest.buttons.clear()
                drawn = await guest.look(cancels[0].fragment)
            seen.errors += drawn.complaints
            seen.searches += 1


def memory(process: int) -> float:
    """Megabytes of memory a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def teach(
    address: str, process: int, told: list[Lesson], seconds: float, searching: bool, after: float
) -> dict[str, Any]:
    """The whole class; what is printed of it."""
    seen, came = Seen(), time.perf_counter()
    async with visit(address, {}) as early:
        await early.open()
    opened = time.perf_counter() - came
    before, held, every = memory(process), [], min(60.0, seconds / 2)
    async with AsyncExitStack() as stack:
        arriving = (come(stack, address, one, seen) for one in told)
        there = [one for one in await asyncio.gather(*arriving) if one is not None]
        spent = processor_seconds(process)
        searches = asyncio.create_task(
            search(address, [one.query for one in told], seen) if searching else asyncio.sleep(0)
        )
        clicking = asyncio.gather(
            *(
                attend(guest, lesson, number, seconds, seen)
                for number, (lesson, guest) in enumerate(there)
            )
        )
        for _ in range(round(seconds / every)):
            await asyncio.sleep(every)
            held.append(memory(process))
        await clicking
        used = processor_seconds(process)
        searches.cancel()
        with suppress(asyncio.CancelledError):
            await searches
        received = sum(guest.bytes for _, guest in there)
    await asyncio.sleep(after)
    clicks = max(1, len(seen.waits))
    return {
        "first_open_s": opened,
        "open_worst_s": max(seen.opened, default=None),
        "toggles": len(seen.waits),
        "p50_ms": 1000 * percentile(seen.waits, 0.5),
        "p95_ms": 1000 * percentile(seen.waits, 0.95),
        "worst_ms": 1000 * max(seen.waits),
        "errors": len(seen.errors),
        "first_errors": sorted(set(seen.errors))[:5],
        "before_mb": before,
        "mb": held,
        "mb_every_s": every,
        "growth": held[-1] / held[0] - 1,
        "left_mb": memory(process),
        "left_after_s": after,
        "searches": seen.searches,
        "kb_per_toggle": received / 1000 / clicks,
        "server_cpu_ms_per_toggle": (
            None if used is None or spent is None else 1000 * (used - spent) / clicks
        ),
    }


def measure(sessions: int, seconds: float, searching: bool, after: float) -> dict[str, Any]:
    """Everything that is printed."""
    told = list(islice(lessons(open_lab(progress=silent)), sessions))
    with (
        TemporaryDirectory() as scratch,
        own_cache(Path(scratch), cache_dir()) as cache,
        serving(cache, Path(scratch) / "log.txt") as server,
    ):
        if (there := os.sched_getaffinity(0)) and len(there) > PROCESSORS:
            os.sched_setaffinity(server.process, sorted(there)[:PROCESSORS])
        teaching = teach(server.address, server.process, told, seconds, searching, after)
        figures = asyncio.run(teaching)
        log = (Path(scratch) / "log.txt").read_text()
    figures |= {"tracebacks": log.count("Traceback"), "sessions": len(told)}
    figures |= {"processors": min(PROCESSORS, os.cpu_count() or 1), "aims": AIMS}
    return figures | {"met": all(figures[name] <= most for name, most in AIMS.items())}


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument("--sessions", type=int, default=30, help="how many toggle")
    words.add_argument("--minutes", type=float, default=5.0, help="for how long")
    words.add_argument("--search", action="store_true", help="one more guest searches meanwhile")
    words.add_argument("--after", type=float, default=AFTER, help="seconds until memory is back")
    chosen = words.parse_args()
    if chosen.quick:
        figures = measure(6, 30.0, chosen.search, 5.0)
    else:
        figures = measure(chosen.sessions, 60 * chosen.minutes, chosen.search, chosen.after)
    print_figures(figures, chosen.json)


if __name__ == "__main__":
    main()
