"""The command that trains a meta-SAE, on several small SAEs at once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metasae import cli
from metasae.saes import formats
from metasae.saes.directions import open_directions
from tests.builders import unit_sae
from tests.command_line import run


@pytest.mark.parametrize("repeated", [True, False])
def test_a_meta_sae_is_trained_on_several_saes_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repeated: bool
) -> None:
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    formats.save(unit_sae(40, 8, seed=1), Path(one))
    formats.save(unit_sae(60, 8, seed=2), Path(other))
    saes = ["--sae", one, "--sae", other] if repeated else ["--sae", one, other]
    recipe = ["--width", "6", "--k", "2", "--steps", "20", "--batch", "32"]
    out = tmp_path / "meta"
    report = run(capsys, "train-meta", *saes, *recipe, "--out", str(out))
    assert report["data"] == [
        {"source": one, "directions": 40}, {"source": other, "directions": 60},
    ]  # fmt: skip
    directions = open_directions([one, other])
    assert len(directions) == 100
    rows = directions.rows(np.arange(100))
    left = rows - formats.load(out).reconstruct(rows)
    explained = 1 - float(left.square().sum() / rows.square().sum())
    assert report["quality"]["fve"] == pytest.approx(explained, abs=1e-3)
    again = ["train-meta", *saes, *recipe, "--out", str(tmp_path / "again")]
    assert cli.main([*again, "--control", "gaussian"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"6 meta-latents of 100 directions: {tmp_path / 'again'}")
    assert f"variance explained {report['quality']['fve']:.3f}" in said
    assert "  control gaussian: variance explained " in said
    for name in ("W_dec", "W_enc"):
        weights = [getattr(formats.load(folder), name) for folder in (out, tmp_path / "again")]
        torch.testing.assert_close(*weights, rtol=0, atol=0)
