"""Controls of a meta-SAE: trained once, on the rows they say, and kept."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from metasae.release import meta_controls as module
from metasae.release.material import material
from metasae.release.meta_controls import LEFT_OUT, meta_controls, residual_directions
from metasae.saes import formats
from metasae.training import explained
from metasae.training.config import TrainConfig
from tests.small_release import RECIPE, Built

pytestmark = pytest.mark.slow


def test_each_is_trained_once_by_the_recipe(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, int]] = []
    train = module.train_meta_sae

    def counted(rows: Any, config: TrainConfig, **more: Any) -> Any:
        trained.append((len(rows), config.steps))
        return train(rows, config, **more)

    monkeypatch.setattr(module, "train_meta_sae", counted)
    preset = built.release.preset
    largest = formats.load(built.folder / "sae-64")
    longer = replace(RECIPE, meta=replace(RECIPE.meta, steps=RECIPE.meta.steps + 1))
    with built.release.open():
        text, about = material(preset), built.report["text"]
        first = meta_controls(preset, largest, lambda: text, about, RECIPE)
        assert trained == []  # the build has made them
        assert first == built.report["meta_sae"]["controls"]
        meta_controls(preset, largest, lambda: text, about, longer)
        steps = longer.meta.steps
        assert sorted(trained) == [(64 - 64 // LEFT_OUT, steps), (64, steps), (64, steps)]
        # Another decoder leaves other directions out; Gaussian rows and residuals are the same.
        turned = replace(largest, W_dec=largest.W_dec.flip(0))
        meta_controls(preset, turned, lambda: text, about, longer)
    assert trained[3:] == [(64 - 64 // LEFT_OUT, steps)]


def test_the_left_out_are_explained_by_a_training_without_them(built: Built) -> None:
    controls = built.report["meta_sae"]["controls"]
    decoder = formats.load(built.folder / "sae-64").W_dec
    last = torch.arange(len(decoder)) % LEFT_OUT == LEFT_OUT - 1
    own = explained.quality(formats.load(built.folder / "meta-sae"), decoder[last])
    assert int(last.sum()) == 6 and controls["left_out"]["fve"] < own.fve
    assert controls["gaussian"]["fve"] == built.report["meta_sae"]["fve_control"]


def test_residual_directions_are_unit_centred_rows(built: Built) -> None:
    with built.release.open():
        text = material(built.release.preset)
    rows = residual_directions(text, 20)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(20))
    assert torch.equal(rows, residual_directions(text, 20))
    centred = text.activations.rows(torch.arange(len(text.activations)).numpy())
    centred = torch.nn.functional.normalize(centred - text.activations.mean)
    assert ((rows @ centred.T).amax(1) > 1 - 1e-5).all()
