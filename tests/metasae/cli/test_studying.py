"""The command that runs the studies."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from metasae.cli.main import main
from metasae.lab.lab import Lab
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.cache import CACHE_VARIABLE
from metasae.studies import result_folder, saebench
from metasae.studies.registry import STUDIES
from metasae.studies.runs import opened
from metasae.training.meta_sae import train_meta_sae


def test_the_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["studies"]
    assert [one["name"] for one in listed] == list(STUDIES)
    assert listed[0]["settings"]["threshold"] == 0.7
    assert main(["study"]) == 0
    assert "max-cosine: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["max-cosine", "--set", "threshold"],
        ["max-cosine", "--set", "nonsense=1"],
        ["max-cosine", "--set", "threshold=high"],
        ["max-cosine", "--set", "threshold=7"],
        ["max-cosine", "--set", "threshold=nan"],
        ["stitching", "--set", f"steps={10**12}"],
        ["max-cosine", "--seeds", "0"],
    ],
)
def test_bad_words_are_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *words]) in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.strip()


@pytest.fixture
def on_small(small_lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    """The small lab, opened by every command, and a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_lab)
    return small_lab


def test_the_same_question_is_read_back_and_asked_anew(
    on_small: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["study", "saebench", "--set", "steps=4", "--set", "starts=1", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert opened(first["run"]).finished and first["out"] is None
    # Its row has an id of its own, drawn anew where it is worked out anew.
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == first | {"out": str(tmp_path / "out")}
    assert result_folder.read(tmp_path / "out").figures == first["figures"]
    assert main([*command, "--anew"]) == 0
    anew = json.loads(capsys.readouterr().out)
    assert anew["run"] == first["run"] and anew["verdict"] == first["verdict"]
    row, was = anew["figures"]["saebench"], first["figures"]["saebench"]
    assert row["eval_id"] != was["eval_id"]


def test_a_folder_of_other_files_is_not_replaced(
    on_small: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    command = ["study", "saebench", "--set", "steps=4", "--set", "starts=1", "--out"]
    assert main([*command, str(tmp_path / "mine")]) == 1
    assert "holds other files" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        assert main([*command, str(tmp_path / "empty")]) == 0
    assert result_folder.read(tmp_path / "empty").study == "saebench"


def test_a_killed_command_goes_on_where_it_stopped(
    on_small: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def train(directions: Any, recipe: Any, *, stage: str, **more: Any) -> SparseAutoencoder:
        if len(trained) == 2:
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(stage)
        return train_meta_sae(directions, recipe, stage=stage, **more)

    monkeypatch.setattr(saebench, "train_meta_sae", train)
    command = ["study", "saebench", "--set", "steps=4", "--set", "starts=2", "--json"]
    with contextlib.suppress(KeyboardInterrupt):
        main(command)
    capsys.readouterr()
    assert main(command) == 0
    assert len(json.loads(capsys.readouterr().out)["figures"]["starts"]) == 2
    assert trained == ["Meta-SAE 1 of 2", "Gaussian rows 1 of 2", "killed", "Meta-SAE 2 of 2",
                       "Gaussian rows 2 of 2"]  # fmt: skip


@pytest.mark.long
@pytest.mark.real_model
def test_a_study_of_the_embedded_default_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result"
    assert main(["study", "max-cosine", "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["out"] == str(out) and "meta-latents" in printed["verdict"]
    rows = {(row["from"], row["to"]): row for row in printed["figures"]["pairs"]}
    meta = rows["meta-latents", "latents"]
    assert meta["directions"] == 2304 and meta["low"] <= meta["share"] <= meta["high"]
    assert (out / "result.json").exists()
