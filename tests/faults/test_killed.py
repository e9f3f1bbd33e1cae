"""Processes killed outright: the same command goes on, and its result is bit for bit the same.

A search that is killed is in ``tests/metasae/search/test_job.py``.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metasae.cli import main
from metasae.explorer import gathering, half_gathered
from metasae.explorer.describing import describe
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import PRESETS
from metasae.studies import result_folder
from tests.builders import everything_below, random_sae
from tests.faults.processes import ROOT, ended, killed, started
from tests.label_servers import serving
from tests.small_models import TAUGHT
from tests.wheels import small_wheel

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "as_the_children")]


@pytest.fixture
def small(small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The small lab as the preset "small", with a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setitem(PRESETS, "small", replace(small_lab.preset, name="small"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_lab)
    return small_lab


@contextmanager
def another_cache(folder: Path) -> Iterator[None]:
    """For the run that is not interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield


def same(one: Path, other: Path, but: Sequence[str] = ()) -> None:
    """Two folders hold the same bytes, but for what is out of sight: a killed process's scratch."""
    names, others = (
        [name for name in everything_below(folder) if name not in but and name[0] != "."]
        for folder in (one, other)
    )
    assert names == others and names
    for name in names:
        if (one / name).is_file():
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_training_goes_on_from_its_last_checkpoint(tmp_path: Path, when: str) -> None:
    formats.save(random_sae(24, 90, k=2), tmp_path / "sae")
    asked = [
        "train-meta", "--sae", str(tmp_path / "sae"), "--width", "8", "--k", "2", "--steps", "12",
        "--batch", "30", "--control", "gaussian",
    ]  # fmt: skip
    words = [*asked, "--out", str(tmp_path / "out")]
    killed(None, tmp_path / "cache", words, ("out.meta-sae.checkpoint", 5, when))
    assert (tmp_path / "out.meta-sae.checkpoint").exists() and not (tmp_path / "out").exists()
    assert main([*words, "--resume"]) == 0
    assert main([*asked, "--out", str(tmp_path / "whole")]) == 0
    # The report says how long it took.
    same(tmp_path / "out", tmp_path / "whole", but=("report.json",))
    # What the killed process was writing is out of sight, and all that is left of it.
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".out")]
    assert sorted(left) == ["out", "sae", "whole"]


def test_a_study_goes_on_from_its_parts(small: Lab, tmp_path: Path) -> None:
    asked = ["study", "rebuild", "--preset", "small", "--set=steps=6", "--set=smallest=0.5"]
    killed(small, tmp_path / "cache", asked, ("*.parquet", 2, "after"))
    (run,) = (tmp_path / "cache" / "studies").iterdir()
    kept = {path: path.read_bytes() for path in (run / "parts").glob("*.parquet")}
    assert len(kept) == 2
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    with another_cache(tmp_path / "other"):
        assert main([*asked, "--out", str(tmp_path / "whole")]) == 0
    found, whole = (result_folder.read(tmp_path / name) for name in ("out", "whole"))
    assert found.figures == whole.figures and found.verdict == whole.verdict
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table, rtol=0, atol=0)


def text_in(folder: Path) -> str:
    """A file of a person's text about the cities the small model knows."""
    lines = [
        f"{name} is a city, number {n}; some like {name}." for n in range(6) for name in TAUGHT
    ]
    (folder / "text.txt").write_text("\n\n".join(lines))
    return str(folder / "text.txt")


def test_a_description_goes_on_where_it_was_killed(
    small: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["describe", "--preset", "small", "--text", text_in(tmp_path)]
    words = [*asked, "--out", str(tmp_path / "out")]
    killed(small, tmp_path / "cache", words, (half_gathered.NAME, 2, "after"))
    kept = tmp_path / "out" / half_gathered.NAME
    assert kept.exists() and not (tmp_path / "out" / "facts-64.json").exists()
    passes: list[int] = []
    add = gathering._Gatherer.add

    def counted(self: gathering._Gatherer, rows: Any) -> None:
        passes.append(len(rows))
        add(self, rows)

    monkeypatch.setattr(gathering._Gatherer, "add", counted)
    assert main(words) == 0
    rest = len(passes)
    assert not kept.exists()
    assert main([*asked, "--out", str(tmp_path / "whole")]) == 0
    # The two passes that were kept were not made again.
    assert len(passes) - rest == rest + 2
    same(tmp_path / "whole", tmp_path / "out")


@pytest.mark.parametrize("at", ["contexts-64.parquet", "facts-64.json", "labels-64.parquet"])
def test_a_description_ends_as_if_it_had_not_been_killed(
    small: Lab, tmp_path: Path, at: str
) -> None:
    asked = ["describe", "--preset", "small", "--text", text_in(tmp_path)]
    killed(small, tmp_path / "cache", [*asked, "--out", str(tmp_path / "out")], (at, 1, "before"))
    assert not (tmp_path / "out" / at).exists()
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert main([*asked, "--out", str(tmp_path / "whole")]) == 0
    same(tmp_path / "whole", tmp_path / "out")


def test_a_label_run_asks_for_no_label_twice(small: Lab, tmp_path: Path) -> None:
    describe(small, tmp_path / "out", (), [text_in(tmp_path)])
    with serving() as server:
        asked = [
            "describe", "--preset", "small", "--labels-only", "--out", str(tmp_path / "out"),
            "--endpoint", server.url, "--yes", "--most", "12",
        ]  # fmt: skip
        with started(small, tmp_path / "cache", asked) as child:
            server.before = lambda number: child.kill() if number == 5 else None
            child.communicate(timeout=280)
        assert child.returncode == -signal.SIGKILL and len(server.asked) == 5
        (answers,) = (tmp_path / "out").glob("answers-*.jsonl")
        kept = answers.read_bytes()
        assert kept.count(b"\n") == 4
        server.before = lambda number: None
        assert main(asked) == 0
        # The one that was asked when the process died is asked once more.
        assert answers.read_bytes().startswith(kept)
        questions = [one["messages"][1]["content"] for one in server.asked]
        assert len(questions) == 12 + 1
        assert questions[4] == questions[5]


DOWNLOADS = """
import json, sys
from metasae.sources.presets import Wheel
from metasae.sources.wheels import fetch_wheel
sys.stdout.write(str(fetch_wheel(Wheel(**json.loads(sys.argv[1])))))
"""


class Index(http.server.ThreadingHTTPServer):
    """A package index with one wheel, of which it gives only the beginning until it may go on."""

    folder: Path
    half_given: threading.Event
    go_on: threading.Event


class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        index = self.server
        assert isinstance(index, Index)
        if self.path.endswith(".whl"):
            content = (index.folder / Path(self.path).name).read_bytes()
        else:
            names = (f'<a href="/{one.name}">{one.name}</a>' for one in index.folder.iterdir())
            content = f"<html><body>{''.join(names)}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2 if self.path.endswith(".whl") else len(content)
        self.wfile.write(content[:half])
        if half < len(content):
            index.half_given.set()
            index.go_on.wait(60)
            self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_that_was_killed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf").mkdir()
    wheel = small_wheel(tmp_path / "shelf")
    index = Index(("127.0.0.1", 0), Asked)
    index.folder, index.half_given, index.go_on = (
        tmp_path / "shelf", threading.Event(), threading.Event()
    )  # fmt: skip
    threading.Thread(target=index.serve_forever, args=(0.01,), daemon=True).start()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    words = [sys.executable, "-c", DOWNLOADS, json.dumps(asdict(wheel))]
    try:
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert index.half_given.wait(100)
            child.kill()
        target = tmp_path / "cache" / "wheels" / wheel.filename
        assert not target.exists()
        index.go_on.set()
        code, out, _ = ended(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    finally:
        index.go_on.set()
        index.shutdown()
        index.server_close()
    assert code == 0 and out == str(target)
    assert target.read_bytes() == (tmp_path / "shelf" / wheel.filename).read_bytes()
