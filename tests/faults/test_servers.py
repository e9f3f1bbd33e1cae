"""Servers of the workbench: killed outright they lose nothing, and several share one cache."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from websockets.exceptions import ConnectionClosed

from metasae.cli import main
from metasae.lab.lab import Lab, open_lab
from metasae.saes.directions import open_directions
from metasae.search.job import Job
from metasae.search.spec import Spec
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED
from metasae.studies import runs
from metasae.training import meta_sae_run
from metasae.training.unfinished import unfinished_trainings
from tests import small_lab
from tests.browser.serving import Server, serving
from tests.builders import everything_below
from tests.faults import child
from tests.faults.processes import ended, started
from tests.guest import Drawn, Guest, visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("one_thread", "as_the_children"),
]

PAIR = {"v": "1", "source": "Paris", "target": "Tokyo"}

STUDY = {"study": "rebuild", "set": "steps:6,smallest:0.5"}

ASKED = ["study", "rebuild", "--set=steps=6", "--set=smallest=0.5", "--json"]

Shown = Callable[[Guest, Drawn], bool]
"""Whether a page shows something."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small lab."""
    made = tmp_path_factory.mktemp("served-lab")
    small_lab.make(made)
    return made


@pytest.fixture
def lab(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab of the servers, opened here as well; the cache is theirs."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    small = small_lab.preset_of_small_lab(folder / "model", folder / "weights")
    return open_lab(replace(small, name=EMBEDDED.name))


@contextmanager
def server(folder: Path, scratch: Path, name: str, dies_at: str = "") -> Iterator[Server]:
    """A server of the small lab, whose cache is the folder ``cache``.

    Args:
        dies_at: see `child.begin`.
    """
    log = scratch / f"{name}.txt"
    own = {"SMALL_LAB": str(folder), child.VARIABLE: dies_at, "OMP_NUM_THREADS": "1"}
    with serving(scratch / "cache", log, "tests/small_app.py", own) as running:
        yield running
    assert "Traceback" not in log.read_text(), log.read_text()


Asked = tuple[str, dict[str, str], str, str]
"""Address of a server, query and name of a page, key of a button there."""


async def pressed(*asked: Asked, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Press buttons of pages at the same time; the server may die of it.

    Args:
        meanwhile: called once all pages are there.
    """
    async with AsyncExitStack() as stack:
        guests = []
        for address, query, page, key in asked:
            guest = await stack.enter_async_context(visit(address, query, page))
            drawn = await guest.open()
            if key == "train-start":
                # The small SAE has fewer meta-latents than are usually active.
                drawn = await guest.fill("train-k", 2)
            assert key in guest.buttons, (sorted(guest.buttons), drawn)
            guests.append(guest)
        meanwhile()
        with suppress(ConnectionClosed):
            keys = (key for *_, key in asked)
            await asyncio.gather(*map(Guest.press, guests, keys))


async def seen(address: str, query: dict[str, str], page: str, shown: Shown) -> Drawn:
    """Look at a page until it shows something."""
    until = time.monotonic() + 150
    while True:
        async with visit(address, query, page) as guest:
            drawn = await guest.open()
            if shown(guest, drawn):
                return drawn
            assert time.monotonic() < until, (sorted(guest.buttons), drawn)
        await asyncio.sleep(0.5)


def dead(one: Server) -> None:
    """Wait until a server has killed itself."""
    until = time.monotonic() + 100
    while Path(f"/proc/{one.process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.05)


def killed(
    folder: Path, scratch: Path, asked: tuple[dict[str, str], str, str], dies_at: str
) -> None:
    """Press a button at a server that is killed by the work it begins."""
    with server(folder, scratch, "killed", dies_at) as one:
        asyncio.run(pressed((one.address, *asked)))
        dead(one)


def whole_folder(path: Path) -> dict[str, bytes]:
    return {
        name: (path / name).read_bytes()
        for name in everything_below(path)
        if (path / name).is_file()
    }


def hidden(path: Path) -> list[str]:
    """What is left of writing; that of a killed process is out of sight."""
    return [name for name in everything_below(path) if "/." in f"/{name}"]


def searched(guest: Guest, drawn: Drawn) -> bool:
    """Whether the patterns that were found are shown."""
    return any(key.startswith("open-") for key in guest.buttons)


def trained(guest: Guest, drawn: Drawn) -> bool:
    return any(key.startswith("close-") for key in guest.buttons)


def studied(guest: Guest, drawn: Drawn) -> bool:
    asks = guest.buttons.get("run-rebuild")
    return asks is not None and asks.label == "Run it again"


def test_a_search_goes_on_at_another_server(folder: Path, lab: Lab, tmp_path: Path) -> None:
    killed(folder, tmp_path, (PAIR, "enumerate", "search-start"), "part-*.parquet 3 after")
    job = Job(lab, Spec(preset=EMBEDDED.opened, source="Paris", target="Tokyo"))
    kept = whole_folder(job.folder)
    assert len([name for name in kept if name.startswith("part-")]) == 3
    assert not job.state().finished and job.state().done == 3 * 16

    async def go_on(address: str) -> None:
        async with visit(address, PAIR, "enumerate") as guest:
            await guest.open()
            assert guest.buttons["search-start"].label == "Resume"
        await pressed((address, PAIR, "enumerate", "search-start"))
        await seen(address, PAIR, "enumerate", searched)

    with server(folder, tmp_path, "another") as another:
        asyncio.run(go_on(another.address))
    after = whole_folder(job.folder)
    assert all(after[name] == content for name, content in kept.items())
    whole = Job(lab, job.spec, tmp_path / "whole")
    expected, found = whole.run(), job.summary()
    assert expected is not None and found is not None
    assert [one.edit for one in found.patterns] == [one.edit for one in expected.patterns]
    pd.testing.assert_frame_equal(job.results(), whole.results(), rtol=0, atol=1e-5)


def test_a_training_goes_on_at_another_server(folder: Path, lab: Lab, tmp_path: Path) -> None:
    killed(folder, tmp_path, ({"v": "1"}, "train", "train-start"), "*.checkpoint 5 after")
    (request,) = unfinished_trainings(cache.meta_saes(lab.preset.kept_as))
    assert not request.is_running and not request.out.exists()
    resume = f"resume-{request.out.name}"

    async def go_on(address: str) -> None:
        await pressed((address, {"v": "1"}, "train", resume))
        await seen(address, {"v": "1"}, "train", trained)

    with server(folder, tmp_path, "another") as another:
        asyncio.run(go_on(another.address))
    assert not unfinished_trainings(request.out.parent)
    directions = open_directions(request.sources)
    meta_sae_run.make(directions, request.config, tmp_path / "whole", request.controls)
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (request.out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_study_goes_on_at_another_server(
    folder: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(folder, tmp_path, (STUDY, "studies", "run-rebuild"), "*.parquet 2 after")
    (run,) = runs.all_runs()
    assert run.begun and not run.finished and not run.is_running
    kept = {path: path.read_bytes() for path in (run.folder / "parts").glob("*.parquet")}
    assert len(kept) == 2
    place = {"study": "rebuild", "run": run.identity}

    async def go_on(address: str) -> None:
        await pressed((address, place, "studies", f"go-on-{run.identity}"))
        await seen(address, place, "studies", studied)

    with server(folder, tmp_path, "another") as another:
        asyncio.run(go_on(another.address))
    found = run.result()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: lab)
    assert main([*ASKED, "--out", str(tmp_path / "whole")]) == 0
    figures = json.loads((tmp_path / "whole" / "result.json").read_text())["figures"]
    assert found.figures == figures


def test_two_servers_and_two_command_lines_share_a_cache(
    folder: Path, lab: Lab, tmp_path: Path
) -> None:
    """All four search the same and ask the same study; one server trains besides."""
    search = ["search", "--source", "Paris", "--target", "Tokyo", "--json"]
    children: list[subprocess.Popen[str]] = []

    async def all_of_it(one: str, other: str) -> None:
        await pressed(
            (one, PAIR, "enumerate", "search-start"),
            (other, PAIR, "enumerate", "search-start"),
            (one, STUDY, "studies", "run-rebuild"),
            (other, STUDY, "studies", "run-rebuild"),
            (one, {"v": "1"}, "train", "train-start"),
            meanwhile=lambda: children.extend(
                started(lab, tmp_path / "cache", words) for words in (search, ASKED)
            ),
        )
        for address in (one, other):
            await seen(address, PAIR, "enumerate", searched)
        await seen(one, {"v": "1"}, "train", trained)

    with server(folder, tmp_path, "one") as one, server(folder, tmp_path, "other") as other:
        asyncio.run(all_of_it(one.address, other.address))
        (code, out, said), (studied_code, _, studied_said) = map(ended, children)
        (run,) = runs.all_runs()
        place = {"study": "rebuild", "run": run.identity}
        for address in (one.address, other.address):
            asyncio.run(seen(address, place, "studies", studied))
    assert code == 0, said
    assert studied_code == 0 or "is under way already" in studied_said.splitlines()[-1]
    # What all found is what one alone does.
    job = Job(lab, Spec(preset=EMBEDDED.opened, source="Paris", target="Tokyo"))
    whole = Job(lab, job.spec, tmp_path / "whole")
    expected, found = whole.run(), job.summary()
    assert expected is not None and found is not None
    edits = [one.edit for one in expected.patterns]
    assert [one.edit for one in found.patterns] == edits
    assert len(json.loads(out)["patterns"]) == len(edits)
    pd.testing.assert_frame_equal(job.results(), whole.results(), rtol=0, atol=1e-5)
    assert run.finished and not run.is_running and run.result().figures
    assert hidden(Path(os.environ[CACHE_VARIABLE])) == []
