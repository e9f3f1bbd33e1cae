"""The commands that describe a small release's latents and check planted worked examples."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasae import cli
from metasae.cli import exploring
from metasae.explorer.explorer import Explorer
from metasae.explorer.labels import CLEAR, UNCLEAR
from metasae.explorer.token_table import fires_in_words, latent_on
from metasae.lab.lab import Lab
from metasae.release import post_examples
from tests.command_line import refused, run
from tests.label_servers import Server, serving
from tests.post_figures import SMALL, planted_explorer
from tests.small_release import Built, documents


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


@pytest.mark.slow
def test_the_latents_of_all_widths_are_described(
    folder: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "described"
    words = ["describe", "--all-widths", "--text", str(text), "--out", str(out)]
    report = run(capsys, *words, "--preset", "small")
    assert {"16", "32", "64", "meta"} <= set(report)
    for kind, count in (("16", 16), ("32", 32), ("64", 64), ("meta", 12)):
        assert len(pd.read_parquet(out / f"labels-{kind}.parquet")) == count
    again = [*words, "--preset", "small", "--labels-only"]
    assert cli.main(again) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Evidence and labels are in {out}.")
    for kind in ("16", "32", "64", "meta"):
        assert f"  {kind}: F1 {report[kind]['f1_mean']:.2f} on held-out contexts" in said


@pytest.mark.slow
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

    assert "64" in run(capsys, *words, "--most", "5", "--yes")
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


@pytest.fixture
def small_explorer(small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    made = Explorer(small_lab, tmp_path)
    monkeypatch.setattr(exploring, "opened_explorer", lambda _: made)
    return made


def test_a_latent_is_tried_on_a_text(
    small_explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    lab, text = small_explorer.lab, "Tokyo is in the country of Japan"
    tokyo = lab.subject("Tokyo").latents[0]
    assert "tried" not in run(capsys, "decompose", str(tokyo))
    tried = run(capsys, "decompose", str(tokyo), "--try", text)["tried"]
    table = latent_on(small_explorer, lab.n_latents, tokyo, text)
    assert tried["text"] == text and tried["sentence"] == fires_in_words(table)
    assert [one["token"] for one in tried["tokens"]] == list(table["token"])
    assert [one["activation"] for one in tried["tokens"]] == pytest.approx(
        list(table["activation"])
    )
    assert tried["tokens"][0]["activation"] > 0
    assert cli.main(["decompose", str(tokyo), "--try", text]) == 0
    said = capsys.readouterr().out.splitlines()[-len(table) - 1 :]
    assert said[0] == f"“{text}”: {tried['sentence']}"
    for line, one in zip(said[1:], tried["tokens"], strict=True):
        assert line.split() == [*repr(one["token"]).split(), f"{one['activation']:.1f}"]


def test_where_no_latent_is_read_is_said(
    small_explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    small_explorer.lab = replace(small_explorer.lab, median_norm=1e-6)
    tried = run(capsys, "decompose", "0", "--try", "Tokyo")["tried"]
    assert {one["activation"] for one in tried["tokens"]} == {None}
    assert cli.main(["decompose", "0", "--try", "Tokyo"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("no latent is read")


def test_a_text_that_cannot_be_tried_is_said(
    small_explorer: Explorer, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["decompose", "0", "--try", ""])


def test_the_examples_are_told_as_text_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explorer = planted_explorer(monkeypatch)
    monkeypatch.setitem(post_examples.OF_PRESET, "gpt2-small", SMALL)
    monkeypatch.setattr(exploring, "opened_explorer", lambda _: explorer)
    checks = run(capsys, "examples", "--preset", "gpt2-small")["checks"]
    assert cli.main(["examples", "--preset", "gpt2-small"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "agrees   Latent 0, nearest in its SAE (cosine): published 0.50, 0.49, 0.47, found "
        "0.50, 0.49, 0.47"
    )
    assert [line.split()[0] for line in lines] == ["agrees"] * 6 + ["DIFFERS"] * 2
    for line, one in zip(lines, checks, strict=True):
        assert line.endswith(f"{one['name']}: published {one['published']}, found {one['found']}")


def test_a_preset_without_examples_is_refused_before_it_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["examples"]) == 1
    assert "gpt2-small" in capsys.readouterr().err
