"""Training a meta-SAE of a user's directions: folder, report, controls, resume."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sae_lens
import torch

from metasae.cli import main
from metasae.errors import UserError
from metasae.lm import matmul
from metasae.saes import formats
from metasae.saes.directions import Directions
from metasae.training.controls import principal_components
from metasae.training.meta_sae import RECIPE
from metasae.training.meta_sae_run import make
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import StepResult, Trainer

CONFIG = replace(RECIPE, width=16, k=2, steps=60, batch=256, lr=3e-3, warmup=5)


def rows(count: int = 800, width: int = 24) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    atoms = torch.linalg.qr(torch.randn(width, 12, generator=draw))[0].T
    parts = torch.rand(count, 12, generator=draw).argsort(1)[:, :2]
    return 2.0 * (atoms[parts[:, 0]] + 0.8 * atoms[parts[:, 1]])


@pytest.fixture
def directions() -> Directions:
    return Directions(("one", "two"), (rows()[:300], rows()[300:]))


def test_what_is_written_opens_in_saelens_with_our_activations(
    directions: Directions, tmp_path: Path
) -> None:
    made = make(directions, CONFIG, tmp_path / "out", ("gaussian", "pca", "random"))
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "out"))
    x = directions.rows(np.arange(200))
    ours = formats.load(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), ours.encode(x), rtol=0, atol=1e-5)
        torch.testing.assert_close(theirs(x), ours.reconstruct(x), rtol=0, atol=1e-5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == json.loads(json.dumps(made.report))
    assert report["data"] == [
        {"source": "one", "directions": 300}, {"source": "two", "directions": 500},
    ]  # fmt: skip
    quality = report["quality"]
    assert quality["l0"] == pytest.approx(2, abs=0.02)
    assert sum(quality["l0_counts"]) == 800
    # Planted structure is found, and more of it than there is in anything the controls have.
    controls = report["controls"]
    assert controls.keys() == {"gaussian", "pca", "random"}
    assert all(found["fve"] < quality["fve"] for found in controls.values())
    assert [path.name for path in tmp_path.glob("*")] == ["out"]


def test_a_control_with_a_random_decoder_leaves_it_alone(directions: Directions) -> None:
    trainer = Trainer(directions, replace(CONFIG, train_decoder=False))
    before, encoder = trainer.p.W_dec.clone(), trainer.p.W_enc.clone()
    for _ in range(5):
        trainer.advance()
    torch.testing.assert_close(trainer.p.W_dec, before)
    assert not torch.equal(trainer.p.W_enc, encoder)


def test_principal_components_by_hand() -> None:
    # Axes 3, 4 and a little of the third: the largest coefficient of each row is kept.
    x = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, -1.0]])
    found = principal_components(TensorRows(x), 1)
    assert found["fve"] == pytest.approx((9 + 16 + 4 + 4) / (9 + 16 + 5 + 5))
    assert principal_components(TensorRows(x), 3)["fve"] == pytest.approx(1.0)


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been_stopped(
    directions: Directions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(directions, CONFIG, tmp_path / "whole", ("gaussian",))
    begun = Trainer(directions, CONFIG, dtype=matmul.fast_dtype())
    for _ in range(20):
        begun.advance()
    begun.save(tmp_path / "out.meta-sae.checkpoint")
    with pytest.raises(UserError, match="stopped before its end; go on with --resume"):
        make(directions, CONFIG, tmp_path / "out")
    steps: list[int] = []
    advance = Trainer.advance

    def noting(self: Trainer) -> StepResult:
        steps.append(self.step)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", noting)
    resumed = make(directions, CONFIG, tmp_path / "out", ("gaussian",), resume=True)
    assert steps == [*range(20, 60), *range(60)]
    assert resumed.report["quality"] == whole.report["quality"]
    assert resumed.report["controls"] == whole.report["controls"]


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


def test_the_threshold_of_many_rows_is_that_of_all_at_once() -> None:
    x = torch.nn.functional.normalize(torch.randn(9000, 6))
    sae = Trainer(TensorRows(x), replace(CONFIG, width=40)).result()
    pre = sae.preactivations(x).flatten()
    expected = pre.topk(2 * 9000 + 1).values[-1]
    found = with_threshold(sae, TensorRows(x), 2).threshold
    assert found is not None
    torch.testing.assert_close(found[0], expected)


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
