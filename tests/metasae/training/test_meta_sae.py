"""Recipes that cannot work, and the command that trains."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metasae.cli import main
from metasae.errors import UserError
from metasae.saes.directions import Directions
from metasae.training.meta_sae_run import make
from tests.metasae.training.planted import CONFIG, rows


def test_bad_recipes_are_one_sentence(directions: Directions, tmp_path: Path) -> None:
    for changes, sentence in (
        ({"width": 801}, "800 directions, fewer than the 801 meta-latents"),
        ({"k": 17}, "k is 17, more than the 16"),
        ({"steps": 0}, "steps is 0"),
        ({"lr": 0.0}, "learning rate is 0"),
        ({"lr": float("nan")}, "learning rate is nan"),
        ({"first_k": 0.5}, "begin with 0.5 times k"),
    ):
        with pytest.raises(UserError, match=sentence):
            make(directions, replace(CONFIG, **changes), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something already"):
        make(directions, CONFIG, tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


def test_the_command_line_trains_and_complains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", rows().numpy())
    words = ["train-meta", "--sae", str(tmp_path / "rows.npy"), "--steps", "10", "--batch", "128"]
    assert main([*words, "--out", str(tmp_path / "out"), "--control", "pca", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["config"]["width"] == 800 // 21
    assert values["config"]["steps"] == 10
    assert values["controls"].keys() == {"pca"}
    assert values["config"]["first_k"] == 2
    again = [*words, "--out", str(tmp_path / "more"), "--start", str(tmp_path / "out"), "--json"]
    assert main([*again, "--lr", "0.0005"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["config"]["lr"], values["config"]["first_k"]) == (0.0005, 1)
    assert main([*words, "--out", str(tmp_path / "other"), "--k", "900"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("metasae: k is 900") and said.err.count("\n") == 1
    assert not (tmp_path / "other").exists()
