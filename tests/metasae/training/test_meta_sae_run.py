"""A meta-SAE trained into a folder: what is written, and a run that was stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
import sae_lens
import torch

from metasae.errors import UserError
from metasae.lm import matmul
from metasae.saes import formats
from metasae.saes.directions import Directions
from metasae.training.meta_sae_run import make
from metasae.training.trainer import Trainer
from tests.metasae.training.planted import CONFIG


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

    def counting(self: Trainer) -> object:
        steps.append(self.step)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", counting)
    resumed = make(directions, CONFIG, tmp_path / "out", ("gaussian",), resume=True)
    assert steps == [*range(20, 60), *range(60)]
    assert resumed.report["quality"] == whole.report["quality"]
    assert resumed.report["controls"] == whole.report["controls"]
