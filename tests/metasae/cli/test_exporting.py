"""The command that exports: each thing it takes, and each way it can be asked wrongly."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasae.cli import exporting
from metasae.exports import to_huggingface
from metasae.exports.registry import TARGETS
from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import write_json
from tests.command_line import refused, run
from tests.metasae.exports.making import edited
from tests.metasae.exports.test_pages import SEARCH


@pytest.fixture(autouse=True)
def open_small(small_default: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    """The small lab is what the command opens."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    return small_default


@pytest.fixture
def file(open_small: Lab, tmp_path: Path) -> str:
    """An edit's file."""
    write_json(tmp_path / "edit.json", edited(open_small).outcome.to_dict())
    return str(tmp_path / "edit.json")


def test_its_targets_are_those_of_the_registry() -> None:
    assert tuple(TARGETS) == exporting.TO


@pytest.mark.parametrize("to", ["transformers", "transformer-lens", "nnsight"])
def test_an_edit_goes_everywhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, file: str, to: str
) -> None:
    out = tmp_path / "out"
    values = run(capsys, "export", "--edit", file, "--to", to, "--out", str(out))
    assert values == {"out": str(out), "to": to, "remarks": []}
    assert json.loads((out / "edit.json").read_text())["source"] == "Tokyo"


@pytest.mark.parametrize("to", ["lm-eval", "neuronpedia"])
def test_what_is_lost_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, file: str, to: str
) -> None:
    values = run(capsys, "export", "--edit", file, "--to", to, "--out", str(tmp_path / "out"))
    (sentence,) = values["remarks"]
    assert "nats" in sentence


def test_directions_by_number(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    for what, wanted in (("--latents=3,1", [3, 1]), ("--meta-latents=all", list(range(64)))):
        run(capsys, "export", what, "--to", "vectors", "--out", str(out))
        assert list(pd.read_parquet(out)["index"]) == wanted
    run(capsys, "export", "--latents", "3", "--width", "16", "--to", "vectors", "--out", str(out))
    assert len(pd.read_parquet(out)) == 1


def test_pages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_json(tmp_path / "search.json", SEARCH)
    for words in (["--latents", "5"], ["--graph", "5,6"],
                  ["--search", str(tmp_path / "search.json")]):  # fmt: skip
        run(capsys, "export", *words, "--to", "html", "--out", str(tmp_path / "x.html"))
        assert (tmp_path / "x.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_repository_and_its_upload(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ["export", "--to", "huggingface", "--out", str(out), "--repo", "me/saes"]
    values = run(capsys, *words)
    assert "uploaded" not in values and (out / "meta-sae" / "cfg.json").exists()
    sent: list[object] = []

    def uploaded(folder: Path, repo: str) -> str:
        sent.append((folder, repo))
        return "https://there"

    monkeypatch.setattr(to_huggingface, "upload", uploaded)
    assert run(capsys, *words, "--upload")["uploaded"] == "https://there"
    assert sent == [(out, "me/saes")]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--to", "vectors"], "Say what"),
        (["--to", "vectors", "--latents", "1", "--meta-latents", "2"], "Say what"),
        (["--to", "vectors", "--latents", "x"], "no latents"),
        (["--to", "vectors", "--latents", "64"], "no latent 64"),
        (["--to", "vectors", "--meta-latents", "-1"], "no meta-latent -1"),
        (["--to", "vectors", "--latents", ""], "at least one"),
        (["--to", "vectors", "--latents", "1", "--width", "17"], "no SAE of 17"),
        (["--to", "vectors", "--meta-latents", "1", "--width", "16"], "--width"),
        (["--to", "vectors", "--latents", "1", "--source", "Tokyo"], "--source and --target"),
        (["--to", "vectors", "--mask", "none"], "no mask"),
        (["--to", "vectors", "--edit", "nowhere.json"], "can't be read"),
        (["--to", "vectors", "--latents", "1", "--upload"], "huggingface alone"),
        (["--to", "huggingface", "--latents", "1"], "leave out"),
        (["--to", "huggingface", "--upload"], "--repo"),
        (["--to", "transformers", "--latents", "1"], "does not take that"),
        (["--to", "lm-eval", "--meta-latents", "1"], "does not take that"),
        (["--to", "html", "--graph", "999"], "no latent 999"),
        (["--to", "html", "--graph", "all"], "no latents"),
        (["--to", "html", "--search", "nowhere.json"], "can't be read"),
    ],
)
def test_what_cant_be_exported_is_one_sentence_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], why: str
) -> None:
    ending = {"vectors": ".parquet", "html": ".html"}.get(words[1], "")
    out = tmp_path / "here" / f"x{ending}"
    out.parent.mkdir()
    assert why in refused(capsys, ["export", *words, "--out", str(out)])
    assert list(out.parent.iterdir()) == []


def test_an_edit_with_other_weights_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, open_small: Lab
) -> None:
    made = replace(open_small.provenance, meta_sae="other@1")
    values = edited(replace(open_small, provenance=made)).outcome.to_dict()
    write_json(tmp_path / "edit.json", values)
    words = ["export", "--edit", str(tmp_path / "edit.json"), "--to", "transformers"]
    assert "other@1" in refused(capsys, [*words, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_place_that_cant_be_written_is_refused_first(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    words = ["export", "--to", "transformers", "--latents", "1"]
    assert "is a file" in refused(capsys, [*words, "--out", str(tmp_path / "file")])
    vectors = ["export", "--to", "vectors", "--latents", "1"]
    assert "endings" in refused(capsys, [*vectors, "--out", str(tmp_path / "x.csv")])
