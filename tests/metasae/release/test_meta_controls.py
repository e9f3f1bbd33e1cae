"""Controls of a meta-SAE: trained once, on the rows they say, and kept."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metasae.release import meta_controls as module
from metasae.release.material import material
from metasae.release.meta_controls import LEFT_OUT, meta_controls, residual_directions
from metasae.saes import formats
from metasae.sources import cache
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.controls import gaussian_like
from tests.builders import never, random_sae, residuals
from tests.small_release import RECIPE, Built, small_preset


def test_each_kind_of_rows_is_trained_on_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    preset = small_preset(tmp_path, tmp_path)
    largest = random_sae(4, 25, k=2)
    # As many residuals as directions: all of them, in order.
    values = torch.randint(-8, 9, (25, 4), generator=torch.Generator().manual_seed(1)).float() + 9
    acts = residuals(values, range(25), range(25), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    trained: list[torch.Tensor] = []
    made = random_sae(4, 12, k=None)

    def train(rows: Any, config: TrainConfig, *, progress: Any, stage: str) -> Any:
        assert config == RECIPE.of_meta(preset) and stage.startswith("Control on ")
        trained.append(rows.rows(np.arange(len(rows))))
        return made

    monkeypatch.setattr(module, "train_meta_sae", train)
    text: Any = SimpleNamespace(activations=acts)
    found = meta_controls(preset, largest, lambda: text, {"a": 1}, RECIPE)
    assert list(found) == ["gaussian", "residuals", "left_out"]
    gaussian, centred, kept = trained
    assert torch.equal(gaussian, gaussian_like(largest.W_dec))
    offset = values - torch.tensor([1.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(centred, offset / offset.norm(dim=1, keepdim=True))
    # Every tenth direction is left out: numbers 9 and 19.
    left_out = [n for n in range(25) if n not in (9, 19)]
    assert torch.equal(kept, largest.W_dec[left_out])
    for name, rows in zip(found, (gaussian, centred, largest.W_dec[[9, 19]]), strict=True):
        own = explained.quality(made, rows)
        assert found[name] == {"l0": own.l0, "fve": own.fve, "fve_centred": own.fve_centred}
    # They are kept; another text is another control of residuals, another decoder of directions.
    nothing = never("it is known")
    assert meta_controls(preset, largest, nothing, {"a": 1}, RECIPE) == found
    with pytest.raises(AssertionError, match="it is known"):
        meta_controls(preset, largest, nothing, {"a": 2}, RECIPE)
    assert len(trained) == 3
    turned = replace(largest, W_dec=largest.W_dec.flip(0))
    meta_controls(preset, turned, nothing, {"a": 1}, RECIPE)
    assert len(trained) == 4 and torch.equal(trained[3], turned.W_dec[left_out])
    folders = sorted(path.name for path in cache.build(preset.kept_as).iterdir())
    assert [name.rsplit("-", 1)[0] for name in folders] == [
        "control-gaussian", "control-left_out", "control-left_out", "control-residuals",
    ]  # fmt: skip
    report = cache.build(preset.kept_as) / folders[0] / formats.REPORT
    assert json.loads(report.read_text()) == found["gaussian"]


def test_fewer_residuals_than_there_are_are_drawn_by_seed() -> None:
    values = torch.arange(40.0).reshape(20, 2) + 1
    text: Any = SimpleNamespace(activations=residuals(values, range(20), range(20), torch.zeros(2)))
    rows = residual_directions(text, 6)
    assert rows.shape == (6, 2) and torch.equal(rows, residual_directions(text, 6))
    unit = values / values.norm(dim=1, keepdim=True)
    at = [int((unit - row).norm(dim=1).argmin()) for row in rows]
    torch.testing.assert_close(rows, unit[at])
    assert at == sorted(set(at)) and not torch.equal(rows, residual_directions(text, 6, seed=2))
    assert len(residual_directions(text, 30)) == 20


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_left_out_are_explained_by_a_training_without_them(built: Built) -> None:
    controls = built.report["meta_sae"]["controls"]
    decoder = formats.load(built.folder / "sae-64").W_dec
    last = torch.arange(len(decoder)) % LEFT_OUT == LEFT_OUT - 1
    own = explained.quality(formats.load(built.folder / "meta-sae"), decoder[last])
    assert int(last.sum()) == 6 and controls["left_out"]["fve"] < own.fve
    assert controls["gaussian"]["fve"] == built.report["meta_sae"]["fve_control"]


@pytest.mark.slow
def test_residual_directions_are_unit_centred_rows(built: Built) -> None:
    with built.release.open():
        text = material(built.release.preset)
    rows = residual_directions(text, 20)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(20))
    assert torch.equal(rows, residual_directions(text, 20))
    centred = text.activations.rows(torch.arange(len(text.activations)).numpy())
    centred = torch.nn.functional.normalize(centred - text.activations.mean)
    assert ((rows @ centred.T).amax(1) > 1 - 1e-5).all()
