"""SAEBench's row, on directions that are sums of few."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import silent
from metasae.saes.decomposition import Decomposition
from metasae.studies.saebench import Configuration, run
from metasae.studies.study import Material
from metasae.training import explained
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of, sae_of

SHORT = Configuration(steps=150, batch=64, rate=5e-3, starts=2)


@pytest.fixture(scope="module")
def planted() -> Material:
    """96 directions of width 32, each the sum of two of 12 atoms."""
    draw = torch.Generator().manual_seed(0)
    atoms = normalize(torch.randn(12, 32, generator=draw))
    chosen = torch.stack([torch.randperm(12, generator=draw)[:2] for _ in range(96)])
    sae = sae_of(atoms[chosen].sum(1))
    return Material(Decomposition(sae, sae_of(atoms)))


def test_planted_directions_are_explained_better_than_gaussian_rows(planted: Material) -> None:
    figures = run(planted, SHORT, silent).figures
    assert figures["width"] == 24
    assert figures["low"] <= figures["fve_centred"] <= figures["high"]
    assert figures["fve_centred"] > figures["control_fve_centred"] + 0.1


def test_the_row_has_saebenchs_keys(planted: Material) -> None:
    row = run(planted, SHORT, silent).figures["saebench"]
    assert row["eval_type_id"] == "meta_sae_decoder_variance"
    metrics = row["eval_result_metrics"]["meta_sae"]
    fve, mse = (
        metrics[name]
        for name in ("decoder_fraction_variance_explained", "final_reconstruction_mse")
    )
    directions = planted.sae.W_dec
    centred = float((directions - directions.mean(0)).square().mean())
    assert mse == pytest.approx(centred * (1 - fve), rel=1e-4)
    assert metrics["train_time_seconds"] > 0
    assert (
        row["eval_config"] | {"random_seed": 42, "width_ratio": 0.25, "k": 4} == row["eval_config"]
    )
    assert {"eval_id", "datetime_epoch_millis", "sae_lens_id", "sae_lens_release_id",
            "sae_lens_version", "sae_bench_commit_hash", "sae_cfg_dict",
            "eval_result_details"} <= set(row)  # fmt: skip


def test_an_sae_too_narrow_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(((0,), (1,), (2,))), Configuration(), silent)
    one_sentence(raised)


def test_both_rows_are_explained_around_their_mean(
    planted: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quality(meta: object, directions: torch.Tensor) -> SimpleNamespace:
        real = torch.equal(directions, planted.sae.W_dec)
        return SimpleNamespace(l0=4.0, fve=0.9, fve_centred=0.5 if real else 0.1, dead=0.0)

    monkeypatch.setattr(explained, "quality", quality)
    figures = run(planted, replace(SHORT, steps=1, starts=1), silent).figures
    assert figures["fve_centred"] == 0.5 and figures["control_fve_centred"] == 0.1
    row = figures["saebench"]["eval_result_metrics"]["meta_sae"]
    assert row["decoder_fraction_variance_explained"] == 0.5
