"""Largest cosines of directions that are known."""

import math

import pytest
import torch

from metasae.progress import silent
from metasae.studies import max_cosine as module
from metasae.studies.max_cosine import BIN, Configuration, largest_cosines, run
from tests.metasae.studies.planted import material_of, sums_of

LATENTS = ((0,), (0, 1), (0, 1, 2, 3))
"""Cosines to the closest axis 1, √½ and ½; to each other √½, √½ and √½."""


def test_a_direction_is_not_its_own_neighbour() -> None:
    cosine = largest_cosines(sums_of(LATENTS), None)
    assert cosine == pytest.approx([math.sqrt(0.5)] * 3)
    assert largest_cosines(sums_of(LATENTS), sums_of(LATENTS)) == pytest.approx([1, 1, 1])


def test_shares_are_those_above_the_threshold() -> None:
    finding = run(material_of(LATENTS), Configuration(threshold=0.6), silent)
    shares = finding.tables["shares"].set_index(["from", "to"])["share"]
    assert shares["latents", "latents"] == 1.0
    assert shares["latents", "meta-latents"] == pytest.approx(2 / 3)
    # Of the eight axes the first lies in a latent, the second has √½ with one, two have ½.
    assert shares["meta-latents", "latents"] == pytest.approx(2 / 8)
    assert shares["meta-latents", "meta-latents"] == 0.0
    assert "67%" in finding.verdict and "25%" in finding.verdict
    chance = finding.tables["shares"]["random_share"].max()
    assert f"Of random directions {'at most' if chance else 'none is'}" in finding.verdict


def test_without_a_smaller_sae_the_rest_is_still_found() -> None:
    finding = run(material_of(LATENTS), Configuration(), silent)
    assert len(finding.tables["shares"]) == 4
    assert len(finding.left_out) == 1 and "smaller" in finding.left_out[0]


def test_the_smaller_sae_is_compared_both_ways() -> None:
    finding = run(material_of(LATENTS, ((0,), (5,))), Configuration(), silent)
    shares = finding.tables["shares"].set_index(["from", "to"])["share"]
    assert shares["smaller SAE", "latents"] == 0.5
    assert shares["meta-latents", "smaller SAE"] == pytest.approx(2 / 8)
    assert finding.left_out == () and finding.figures["smaller_width"] == 2


def test_each_seed_has_its_own_rows() -> None:
    table = run(material_of(LATENTS, seeds=2), Configuration(), silent).tables["shares"]
    assert table.groupby(["from", "to"])["seed"].apply(list).to_dict() == {
        ("latents", "latents"): [0],
        ("latents", "meta-latents"): [0, 1, 2],
        ("meta-latents", "latents"): [0, 1, 2],
        ("meta-latents", "meta-latents"): [0, 1, 2],
    }


def test_a_histogram_counts_every_direction_once_in_its_bin() -> None:
    table = run(material_of(LATENTS), Configuration(), silent).tables["histograms"]
    mine = table[(table["from"] == "latents") & (table["to"] == "meta-latents")]
    assert mine["directions"].sum() == 3
    for cosine in (math.sqrt(0.5), 0.5):
        assert any(low <= cosine + 1e-6 and cosine < low + BIN + 1e-6 for low in mine["cosine"])


def test_random_directions_are_a_control_that_can_fail() -> None:
    torch.manual_seed(0)
    finding = run(material_of(LATENTS), Configuration(threshold=0.05), silent)
    assert finding.tables["shares"]["random_share"].max() > 0


def test_as_many_random_directions_stand_in_for_those_that_are_matched_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "gaussian_like", lambda directions, seed: directions)
    finding = run(material_of(LATENTS, ((0,), (5,))), Configuration(), silent)
    pairs = [one for one in finding.figures["pairs"] if one["from"] != one["to"]]
    assert len(pairs) == 4
    for one in pairs:
        assert one["random_share"] == one["share"] and one["random_median"] == one["median"]
