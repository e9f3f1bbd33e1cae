"""The commands that measure and describe a whole release, on a small one."""

import functools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasae import cli
from metasae.explorer.labels import CLEAR, UNCLEAR
from metasae.release import measure as measure_module
from metasae.sources.presets import PRESETS
from tests.label_servers import Server, serving
from tests.small_release import RECIPE, Built, documents

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The release's own copy, which the preset "small" opens."""
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setitem(PRESETS, "small", replace(built.release.preset, weights=out))
    with built.release.open():
        yield out


@pytest.fixture
def text(built: Built, tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(one.text for one in documents(built.release.cities)))
    return path


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def test_measuring_gives_the_stored_figures_again(
    built: Built, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The release was made by this recipe instead of the shipped one, which would take hours.
    small = functools.partial(measure_module.measure, recipe=RECIPE)
    monkeypatch.setattr(measure_module, "measure", small)
    (folder / "report.json").unlink()
    assert cli.main(["info", "--measure", "--preset", "small", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured == json.loads(json.dumps(built.report))
    assert json.loads((folder / "report.json").read_text()) == measured
    assert cli.main(["info", "--preset", "small"]) == 0
    said = capsys.readouterr().out
    assert f"meta-SAE: 12 meta-latents, L0 {measured['meta_sae']['l0']:.2f}" in said
    assert all(f"{one['fve']:>18.3f}" in said for one in measured["saes"])


def test_the_latents_of_all_widths_are_described(
    folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "described"
    words = ["describe", "--all-widths", "--text", str(text), "--out", str(out)]
    assert cli.main([*words, "--preset", "small", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"16", "32", "64", "meta"} <= set(report)
    for kind, count in (("16", 16), ("32", 32), ("64", 64), ("meta", 12)):
        assert len(pd.read_parquet(out / f"labels-{kind}.parquet")) == count
    again = [*words, "--preset", "small", "--labels-only"]
    assert cli.main(again) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Evidence and labels are in {out}.")
    for kind in ("16", "32", "64", "meta"):
        assert f"  {kind}: F1 {report[kind]['f1_mean']:.2f} on held-out contexts" in said


def test_a_server_is_asked_for_labels_once_the_cost_is_agreed_to(
    folder: Path, text: Path, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "described"
    words = [
        "describe", "--preset", "small", "--text", str(text), "--out", str(out),
        "--endpoint", server.url, "--endpoint-model", "tiny",
    ]  # fmt: skip

    def refused(*more: str) -> str:
        assert cli.main([*words, *more]) == 1
        return capsys.readouterr().err.strip().splitlines()[-1]

    # Before the text is read, at most so many; all 64 latents where no less is asked for.
    assert "would be asked up to 64 times, some hundred tokens each; add --yes" in refused()
    assert "would be asked up to 5 times" in refused("--most", "5")
    assert not out.exists() and not server.asked

    assert cli.main([*words, "--most", "5", "--yes", "--json"]) == 0
    assert "64" in json.loads(capsys.readouterr().out)
    assert len(server.asked) == 5
    assert {one["model"] for one in server.asked} == {"tiny"}
    table = pd.read_parquet(out / "labels-64.parquet")
    answered = table[table["words"] == "Tokyo, Kyoto"]
    assert len(answered) == 5
    clear = answered["f1"] >= CLEAR
    assert answered["label"].tolist() == [
        "A city of Japan" if holds else UNCLEAR for holds in clear
    ]

    # Where the evidence is there: exactly so many, and about how many tokens.
    letters = sum(len(message["content"]) for one in server.asked for message in one["messages"])
    said = refused("--most", "5", "--labels-only")
    assert "would be asked 5 times, about " in said
    tokens = int(said.split("about ")[1].split(" tokens")[0].replace(",", ""))
    assert tokens == pytest.approx(0.3 * letters + 5 * 60, rel=0.02)
    assert len(server.asked) == 5
    # What was answered is not asked again.
    assert cli.main([*words, "--most", "5", "--labels-only", "--yes"]) == 0
    assert len(server.asked) == 5


def test_a_search_tells_what_other_ways_would_add(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "search", "--preset", "small", "--source", "Tokyo", "--target", "Paris", "--ways",
    ]  # fmt: skip
    assert cli.main([*words, "--json"]) == 0
    ways = json.loads(capsys.readouterr().out)["ways"]
    assert len(ways) > 2 and len({one["name"] for one in ways}) == len(ways)
    assert not any(one["new"] for one in ways[0]["reached"])
    assert any(one["searched"] > 0 for one in ways[1:])
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "combinations in" in lines[0]
    told = lines[-len(ways) :]
    for one, line in zip(ways, told, strict=True):
        assert line.startswith(f"{one['name']}: {len(one['reached'])} patterns")
        assert (", new: " in line) == any(reached["new"] for reached in one["reached"])
        assert line.endswith(f"({one['note']})") or not one["note"]
