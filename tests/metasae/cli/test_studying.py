"""The command that runs the studies."""

import json
from pathlib import Path

import pytest

from metasae.cli.main import main
from metasae.studies.registry import STUDIES


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
        ["max-cosine", "--seeds", "0"],
    ],
)
def test_bad_words_are_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *words]) in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.strip()


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
