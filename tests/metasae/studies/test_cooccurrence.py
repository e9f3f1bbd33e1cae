"""Matched pairs, what is explained, and what follows from them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from metasae.errors import UserError
from metasae.progress import silent
from metasae.studies.cooccurrence import (
    Configuration,
    _verdict,
    by_density,
    composition,
    matched_pairs,
    rank_correlation,
    run,
)
from metasae.studies.graphs import members_by_meta
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of, sums_of

LATENTS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7))


def test_partners_have_the_cosine_and_share_nothing() -> None:
    members = members_by_meta(material_of(LATENTS).decomposition)
    able = np.arange(len(LATENTS))
    found = matched_pairs(sums_of(LATENTS), members, able, 10, 0.6, 0)
    assert len(found) == 5  # the last shares with none
    names = ("latent", "sharing", "other", "cosine", "other_cosine")
    for one, sharing, other, cosine, other_cosine in zip(
        *(found[name] for name in names), strict=True
    ):
        assert set(LATENTS[one]) & set(LATENTS[sharing])
        assert not set(LATENTS[one]) & set(LATENTS[other])
        assert (cosine, other_cosine) == pytest.approx((0.5, 0.0))
    assert matched_pairs(sums_of(LATENTS), members, able, 10, 0.4, 0).empty
    assert len(matched_pairs(sums_of(LATENTS), members, able, 2, 0.6, 0)) == 2


def test_only_latents_that_are_able_take_part() -> None:
    members = members_by_meta(material_of(LATENTS).decomposition)
    found = matched_pairs(sums_of(LATENTS), members, np.array([0, 1, 4]), 10, 0.6, 0)
    assert set(found[["latent", "sharing", "other"]].to_numpy().ravel().tolist()) == {0, 1, 4}


def test_composition_is_one_minus_what_is_left() -> None:
    meta = material_of(LATENTS).decomposition.meta
    # The second meta-latent never fires, so what lies along it is left.
    threshold = torch.full((meta.width,), 0.1)
    threshold[1] = 2.0
    planted = material_of(LATENTS).decomposition
    decomposition = replace(planted, meta=replace(meta, threshold=threshold))
    figures, parts = composition(decomposition, 0)
    assert parts.tolist() == pytest.approx([0.5, 0.5, 1, 1, 1, 1], abs=1e-6)
    assert figures["fve"] == pytest.approx(5 / 6) and figures["l0"] == pytest.approx(10 / 6)
    centred = decomposition.sae.W_dec - decomposition.sae.W_dec.mean(0)
    assert figures["fve_centred"] == pytest.approx(1 - 1 / float(centred.square().sum()))
    assert figures["low"] <= figures["fve"] <= figures["high"]


def test_rank_correlation_has_its_interval() -> None:
    one = np.arange(200.0)
    assert rank_correlation(one, one**3, 0) == pytest.approx({"value": 1, "low": 1, "high": 1})
    noise = np.random.default_rng(0).normal(size=200)
    found = rank_correlation(one, one + 100 * noise, 0)
    assert found is not None and found["low"] < found["value"] < found["high"]
    assert rank_correlation(one, np.ones(200), 0) is None


def test_latents_are_grouped_by_how_often_they_fire() -> None:
    latents = pd.DataFrame(
        {"density": [0.4, 0.1, 0.3, 0.2, 0.5], "explained": [1, 0.2, 0.6, 0.4, 0.8]}
    )
    found = by_density(latents, 2, 0)
    assert found["latents"].tolist() == [3, 2]
    assert found["density"].tolist() == pytest.approx([0.2, 0.45])
    assert found["explained"].tolist() == pytest.approx([0.4, 0.9])
    assert len(by_density(latents, 9, 0)) == 5


def together(tokens: int) -> sp.csr_array:
    """Neighbours of `LATENTS` share an axis, and fire together; all others alone."""
    fires = np.zeros((tokens, len(LATENTS)), np.float32)
    for token in range(tokens):
        first = token % 5
        fires[token, [first, (first + 1) % 5]] = token % 4 < 3
        fires[token, 5] = token % 7 == 0
    return sp.csr_array(fires)


def test_latents_that_fire_together_are_told_from_those_that_do_not() -> None:
    material = replace(
        material_of(LATENTS), read=lambda tokens, held_out, progress: together(100 + 100 * held_out)
    )
    finding = run(material, Configuration(tolerance=0.6, least=1), silent)
    by = finding.figures["difference"]
    assert by["low"] > 0 and "more than" in finding.verdict
    assert finding.figures["phi_sharing"] > finding.figures["phi_same_cosine"]
    assert finding.figures["tokens"] == 100 and finding.figures["held_out"]["tokens"] == 200
    assert finding.tables["pairs"]["held_out"].tolist() == [False] * 5 + [True] * 5
    assert finding.figures["composition"]["fve"] == pytest.approx(1.0)


def test_without_text_that_nothing_was_trained_on_the_rest_is_told() -> None:
    def read(tokens: int, held_out: bool, progress: object) -> sp.csr_array:
        if held_out:
            raise UserError("None of the text is held out.")
        return together(100)

    finding = run(
        replace(material_of(LATENTS), read=read), Configuration(tolerance=0.6, least=1), silent
    )
    assert "held_out" not in finding.figures and "held out" in finding.left_out[0]


def test_no_partner_is_said() -> None:
    fires = sp.csr_array(np.eye(6, dtype=np.float32))
    material = replace(material_of(LATENTS), read=lambda tokens, held_out, progress: fires)
    with pytest.raises(UserError) as raised:
        run(material, Configuration(tolerance=0.1, least=1), silent)
    one_sentence(raised)


def test_latents_that_fire_too_rarely_take_no_part() -> None:
    material = replace(material_of(LATENTS), read=lambda tokens, held_out, progress: together(100))
    finding = run(material, Configuration(tolerance=0.6, least=30), silent)
    often = together(100).sum(0)
    able = np.flatnonzero(often >= 30)
    assert 3 <= len(able) < len(LATENTS) and finding.figures["latents"] == len(able)
    latents = finding.tables["latents"].set_index("latent")["density"]
    assert latents.to_dict() == {n: often[n] / 100 for n in able.tolist()}


def test_a_difference_that_may_be_none_is_not_called_none() -> None:
    def said(low: float, high: float) -> str:
        by = {"value": (low + high) / 2, "low": low, "high": high}
        return _verdict({"phi_sharing": 0.1, "phi_same_cosine": 0.1, "difference": by})

    assert "together more than" in said(0.1, 0.2) and "together less than" in said(-0.2, -0.1)
    assert "neither clearly more nor clearly less than" in said(-0.1, 0.1)
