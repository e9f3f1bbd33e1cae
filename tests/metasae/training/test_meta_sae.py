"""Recipes that cannot work, and the command that trains."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metasae.cli import main
from metasae.errors import UserError
from metasae.saes.directions import Directions
from metasae.training import explained
from metasae.training import meta_sae as module
from metasae.training.meta_sae import seconds_a_step, train_meta_sae
from metasae.training.meta_sae_run import make
from metasae.training.rows import TensorRows
from metasae.training.trainer import Moment, Stopped, Trainer
from tests.builders import random_sae
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


def test_a_start_from_data_is_some_of_the_directions() -> None:
    x = TensorRows(rows(100))
    still = replace(CONFIG, start="data", steps=1, lr=1e-9, warmup=0, seed=4)
    made = train_meta_sae(x, still)
    drawn = np.random.default_rng(4).choice(100, 16, replace=False)
    expected = x.tensor[drawn] / x.tensor[drawn].norm(dim=1, keepdim=True)
    torch.testing.assert_close(made.W_dec, expected, rtol=0, atol=1e-6)
    assert len(set(drawn.tolist())) == 16


def test_a_meta_sae_has_the_threshold_that_gives_its_l0() -> None:
    x = TensorRows(rows())
    told: list[str] = []
    made = train_meta_sae(x, CONFIG, stage="My own", progress=lambda stage, *_: told.append(stage))
    assert set(told) == {"My own"} and len(told) == CONFIG.steps
    assert made.k is None and made.threshold is not None
    found = explained.quality(made, x)
    assert found.l0 == pytest.approx(2.0, abs=0.02)
    # The start is another's where one is given.
    further = train_meta_sae(x, replace(CONFIG, start="sae", steps=1, lr=1e-9), initial=made)
    torch.testing.assert_close(further.W_dec, made.W_dec, rtol=0, atol=1e-6)


def test_a_start_of_another_size_is_refused() -> None:
    x = TensorRows(rows())
    told = replace(CONFIG, start="sae", steps=1)
    with pytest.raises(UserError, match="none is named"):
        train_meta_sae(x, told)
    with pytest.raises(UserError, match="it must have 16 of width 24"):
        train_meta_sae(x, told, initial=random_sae(24, 15, k=2))


def test_a_training_of_directions_is_stopped_by_its_watch(tmp_path: Path) -> None:
    x = TensorRows(rows())
    with pytest.raises(Stopped):
        train_meta_sae(x, CONFIG, checkpoint=tmp_path / "c", watch=lambda now: now.step == 3)
    seen: list[int] = []

    def watch(now: Moment) -> bool:
        seen.append(now.step)
        return False

    train_meta_sae(x, CONFIG, checkpoint=tmp_path / "c", watch=watch)
    assert seen == list(range(4, CONFIG.steps + 1))


def test_a_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    now = 0.0

    def advance(trainer: Trainer) -> None:
        nonlocal now
        # The first, in which memory is taken, is slower and does not count.
        now += 0.5 if steps else 99.0
        steps.append(trainer.config.width)

    monkeypatch.setattr(Trainer, "advance", advance)
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    assert seconds_a_step(TensorRows(rows()), replace(CONFIG, start="data")) == 0.5
    assert steps == [16] * 4
    with pytest.raises(UserError, match="fewer than the 801"):
        seconds_a_step(TensorRows(rows()), replace(CONFIG, width=801))
