"""What is rebuilt of directions that are known sums."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.progress import silent
from metasae.saes import formats
from metasae.studies.rebuild import (
    Configuration,
    by_nearest,
    by_pursuit,
    by_sae,
    encoder_trained,
    explained,
    run,
    whole,
)
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of, sae_of, sums_of

LATENTS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 0))
QUICK = Configuration(smallest=0.9, steps=0)


def test_the_meta_saes_parts_are_counted_and_what_they_leave() -> None:
    made = by_sae(sae_of(torch.eye(8)), sums_of(LATENTS))
    assert made.l0 == 2.0 and made.left.tolist() == pytest.approx([0.0] * 8, abs=1e-6)
    half = by_sae(sae_of(torch.eye(8)[:4]), sums_of(LATENTS))
    # Axes 0 to 3 rebuild three latents whole, two by half, three not at all.
    assert half.left.tolist() == pytest.approx([0, 0, 0, 0.5, 1, 1, 1, 0.5], abs=1e-6)
    assert half.l0 == 1.0


def test_pursuit_takes_at_most_so_many_parts() -> None:
    assert by_pursuit(torch.eye(8), sums_of(LATENTS), 1).left.tolist() == pytest.approx([0.5] * 8)
    both = by_pursuit(torch.eye(8), sums_of(LATENTS), 3)
    assert both.l0 == 2.0 and both.left.sum() == pytest.approx(0.0, abs=1e-6)


def test_rows_are_replaced_by_the_nearest_of_unit_length() -> None:
    others = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]])
    replaced, made = by_nearest(sae_of(torch.eye(3)), others, torch.eye(3))
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, 0.6, 0.8]])
    assert torch.allclose(replaced.W_dec, expected)
    # Each axis is still encoded as 1: what is left is its distance to the row in its place.
    assert made.left.tolist() == pytest.approx([0.0, 0.8, 0.4], abs=1e-6)


def test_a_trained_encoder_rebuilds_more_with_the_same_rows() -> None:
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(200, 8, generator=draw))
    start = sae_of(torch.nn.functional.normalize(torch.randn(16, 8, generator=draw)))
    config = Configuration(steps=200, batch=200)
    trained = encoder_trained(start, directions, 3.0, config, silent, "")
    assert torch.allclose(trained.W_dec, start.W_dec, atol=1e-5)
    after, before = by_sae(trained, directions), by_sae(start, directions)
    assert after.left.sum() < before.left.sum()
    assert after.l0 == pytest.approx(3.0, abs=0.1)


def test_shares_and_intervals() -> None:
    found = explained(torch.tensor([0.0, 1.0] * 50), torch.ones(100), 0)
    assert found["fve"] == 0.5 and found["low"] < 0.5 < found["high"]
    same = explained(torch.full((9,), 0.25), torch.ones(9), 0)
    assert same == {"fve": 0.75, "low": 0.75, "high": 0.75}


def test_every_way_has_its_row() -> None:
    material = material_of(LATENTS, ((0,), (1,), (2,), (3,)), seeds=1)
    rows = run(material, QUICK, silent).figures["rows"]
    fve = {(row["way"], row["seed"]): row["fve"] for row in rows}
    l0 = {row["way"]: row["l0"] for row in rows}
    assert fve["meta-SAE", 0] == pytest.approx(1.0)
    assert fve["meta-SAE", 1] == pytest.approx(1.0)
    assert fve["pursuit over 4 latents", 0] == pytest.approx(1 - 4 / 8)
    # Each axis has the mean 2 · √½ / 8, so of the eight unit lengths 2 are the mean's.
    centred = {row["way"]: row["fve_centred"] for row in rows}
    assert centred["pursuit over 4 latents"] == pytest.approx(1 - 4 / 6)
    assert fve["pursuit over meta-latents", 0] == pytest.approx(1.0)
    assert fve["pursuit over random rows", 0] < 0.95
    assert l0["principal components"] == 2.0
    assert ("nearest of 4 latents", 1) in fve


def test_controls_have_as_many_parts_as_the_open_meta_sae() -> None:
    narrow = sae_of(torch.eye(8)[:1])
    material = replace(material_of(LATENTS), seeds=(narrow,))
    rows = run(material, QUICK, silent).figures["rows"]
    (random,) = [row for row in rows if row["way"] == "pursuit over random rows"]
    assert random["l0"] > 1.5  # two parts as the open one has, not one as the other


def test_without_a_smaller_sae_the_rest_is_found_and_it_is_said() -> None:
    finding = run(material_of(LATENTS), QUICK, silent)
    assert "no smaller SAE" in finding.left_out[0] and "elsewhere" in finding.left_out[1]
    assert len(finding.left_out) == 2 and "100.0%" in finding.verdict
    assert not finding.tables["rows"]["way"].str.startswith("nearest").any()


def test_an_sae_started_elsewhere_takes_part(tmp_path: Path) -> None:
    formats.save(sae_of(torch.eye(8)[:4]), tmp_path / "other")
    config = replace(QUICK, elsewhere=str(tmp_path / "other"))
    finding = run(material_of(LATENTS), config, silent)
    (row,) = [one for one in finding.figures["rows"] if "elsewhere" in one["way"]]
    # Axes 0 to 3 rebuild three of the eight latents whole and two by half.
    assert (row["parts_of"], row["fve"]) == (4, pytest.approx(4 / 8))
    assert not any("elsewhere" in one for one in finding.left_out)


def test_an_sae_of_another_hook_or_none_is_refused(tmp_path: Path) -> None:
    formats.save(sae_of(torch.eye(3)), tmp_path / "other")
    for folder, said in ((tmp_path / "other", "width 3"), (tmp_path / "none", "none")):
        with pytest.raises(UserError) as raised:
            run(material_of(LATENTS), replace(QUICK, elsewhere=str(folder)), silent)
        assert said in one_sentence(raised)


@pytest.mark.parametrize(("l0", "parts"), [(0.2, 1), (3.996, 4), (4.0, 4), (4.009, 4), (4.02, 5)])
def test_a_mean_number_of_parts_becomes_a_whole_one(l0: float, parts: int) -> None:
    assert whole(l0) == parts
