"""φ by brute force, matched pairs, and what follows from them."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.progress import silent
from metasae.studies.cooccurrence import (
    Configuration,
    explained,
    matched_pairs,
    mean_absolute_phi,
    phi,
    run,
)
from metasae.studies.graphs import members_by_meta
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of, sums_of

LATENTS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7))


def random_firing(seed: int, tokens: int = 40, latents: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).random((tokens, latents)) < 0.2


@given(st.integers(0, 1000))
def test_phi_is_the_correlation_of_firing(seed: int) -> None:
    fires = random_firing(seed)
    one, other = np.array([0, 2, 3]), np.array([1, 2, 6])
    found = phi(sp.csr_array(fires.astype(np.float32)), one, other)
    for a, b, value in zip(one, other, found, strict=True):
        if fires[:, a].any() and fires[:, b].any():
            truth = np.corrcoef(fires[:, a].astype(float), fires[:, b].astype(float))[0, 1]
            assert value == pytest.approx(truth, abs=1e-6)
        else:
            assert np.isnan(value)


@given(st.integers(0, 1000))
def test_the_mean_over_all_pairs_is_that_of_each(seed: int) -> None:
    fires = random_firing(seed)
    alive = [n for n in range(fires.shape[1]) if 0 < fires[:, n].sum() < len(fires)]
    every = [
        abs(np.corrcoef(fires[:, a].astype(float), fires[:, b].astype(float))[0, 1])
        for a, b in combinations(alive, 2)
    ]
    found = mean_absolute_phi(sp.csr_array(fires.astype(np.float32)))
    assert found == pytest.approx(np.mean(every), abs=1e-6)


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


def test_what_is_explained_is_one_minus_what_is_left() -> None:
    decomposition = material_of(LATENTS).decomposition
    parts = [1 - decomposition.unexplained([latent]) for latent in range(len(LATENTS))]
    assert explained(decomposition) == pytest.approx(parts, abs=1e-6)


def test_latents_that_fire_together_are_told_from_those_that_do_not() -> None:
    # Neighbours share an axis, and fire together; all others alone.
    fires = np.zeros((200, len(LATENTS)), np.float32)
    for token in range(200):
        first = token % 5
        fires[token, [first, (first + 1) % 5]] = token % 4 < 3
        fires[token, 5] = token % 7 == 0
    material = replace(material_of(LATENTS), read=lambda tokens, progress: sp.csr_array(fires))
    finding = run(material, Configuration(tolerance=0.6, least=1), silent)
    by = finding.figures["difference"]
    assert by["low"] > 0 and "more than" in finding.verdict
    assert finding.figures["phi_sharing"] > finding.figures["phi_same_cosine"]


def test_no_partner_is_said() -> None:
    fires = sp.csr_array(np.eye(6, dtype=np.float32))
    material = replace(material_of(LATENTS), read=lambda tokens, progress: fires)
    with pytest.raises(UserError) as raised:
        run(material, Configuration(tolerance=0.1, least=1), silent)
    one_sentence(raised)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"pairs": 0}, {"tolerance": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError) as raised:
        Configuration(**wrong)  # type: ignore[arg-type]
    one_sentence(raised)
