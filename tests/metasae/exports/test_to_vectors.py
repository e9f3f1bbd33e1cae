"""Directions as plain matrices, read back by other libraries."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open

from metasae.errors import UserError
from metasae.explorer.explorer import META
from metasae.exports.directions import Directions
from metasae.exports.to_vectors import TARGET
from metasae.lab.lab import Lab
from metasae.sources.files import sha256
from tests.metasae.exports.making import edited
from tests.metasae.exports.seen import HOSTILE, seen


def test_safetensors_hold_rows_and_what_they_are(small_lab: Lab, tmp_path: Path) -> None:
    directions = Directions(seen(small_lab, tmp_path), str(small_lab.n_latents), (5, 6))
    out = tmp_path / "some.safetensors"
    TARGET.export(directions, out)
    with safe_open(out, "pt") as file:
        assert torch.equal(file.get_tensor("directions"), directions.rows)
        note = file.metadata()
    rows = json.loads(note["rows"])
    assert rows[0] == {"kind": "latent", "index": 5, "label": HOSTILE}
    assert json.loads(note["metasae"])["sae"] == small_lab.provenance.sae


def test_parquet_holds_them_too(small_lab: Lab, tmp_path: Path) -> None:
    directions = Directions(seen(small_lab, tmp_path), META, (0, 3))
    out = tmp_path / "some.parquet"
    TARGET.export(directions, out)
    table = pd.read_parquet(out)
    assert list(table["kind"]) == ["meta-latent"] * 2 and list(table["index"]) == [0, 3]
    read = torch.tensor([one.tolist() for one in table["direction"]])
    assert torch.equal(read, directions.rows)
    assert json.loads(table.attrs["metasae"])["meta_sae"] == small_lab.provenance.meta_sae


def test_an_edits_directions_are_the_edited_ones(small_lab: Lab, tmp_path: Path) -> None:
    one = edited(small_lab, "removed")
    out = tmp_path / "some.safetensors"
    TARGET.export(one, out)
    with safe_open(out, "pt") as file:
        found = file.get_tensor("directions")
        (row,) = json.loads(file.metadata()["rows"])
    (latent,) = one.experiment.source.latents
    assert row["kind"] == "edited latent" and row["index"] == latent
    own = small_lab.decomposition.sae.W_dec[latent]
    assert not torch.allclose(found[0], own)
    assert float(found.norm()) == pytest.approx(float(own.norm()), abs=1e-5)
    made = one.experiment.compiled(one.edit)
    assert torch.allclose(found[0], own + made.from_source[0])


def test_a_swap_has_none(small_lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no directions of its own"):
        TARGET.export(edited(small_lab, "swap"), tmp_path / "some.parquet")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_width_name_the_sae_they_are_of(small_lab: Lab, tmp_path: Path) -> None:
    other = min(small_lab.preset.widths)
    out = tmp_path / "some.parquet"
    TARGET.export(Directions(seen(small_lab, tmp_path), str(other), (0,)), out)
    made = json.loads(pd.read_parquet(out).attrs["metasae"])
    assert made["width"] == other != small_lab.n_latents
    wanted = Path(small_lab.preset.sae(other)) / "sae_weights.safetensors"
    assert made["sae"] == f"sae-{other}@{sha256(wanted)[:12]}" != small_lab.provenance.sae
