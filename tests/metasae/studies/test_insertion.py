"""Insertions against brute force, and ROC curves counted pair by pair."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.studies.firing import activations
from metasae.studies.insertion import area, area_with_intervals, curve, effects
from tests.builders import random_sae, unit_rows

KINDS = pytest.mark.parametrize("k", [None, 3])


@KINDS
@given(seed=st.integers(0, 1000))
def test_the_closed_form_is_the_insertion_done(k: int | None, seed: int) -> None:
    smaller, larger = random_sae(6, 5, k=k, seed=seed), random_sae(6, 12, k=k, seed=seed + 1)
    rows = 3 * unit_rows(seed, 20, 6)
    made, acts = smaller.reconstruct(rows), larger.encode(rows)
    before = float((rows - made).double().square().sum())
    found = effects(activations(larger, rows), (rows - made).numpy(), larger.W_dec.numpy())
    for latent, effect in enumerate(found):
        added = made + acts[:, latent, None] * larger.W_dec[latent]
        after = float((rows - added).double().square().sum())
        assert effect == pytest.approx(after - before, rel=1e-4, abs=1e-3)


def test_an_effect_by_hand() -> None:
    # What is left is (3, 0) and (0, 1); the latent writes (2, 0) on the first row alone.
    acts = activations(random_sae(2, 1, k=1), torch.zeros(2, 2)) * 0
    acts[0, 0] = 2.0
    left, direction = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    assert effects(acts, left, direction).tolist() == [1 - 9]
    assert effects(acts, left, -direction).tolist() == [25 - 9]


SCORES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30)


@given(SCORES)
def test_the_area_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    scores, hits = (np.array(some) for some in zip(*pairs, strict=True))
    yes, no = scores[hits], scores[~hits]
    if not len(yes) or not len(no):
        assert np.isnan(area(scores, hits))
        return
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(yes, no)]
    assert area(scores, hits) == pytest.approx(np.mean(wins))
    # With all its points the curve is that area's outline.
    outline = curve(scores.astype(float), hits)
    assert np.trapezoid(outline["hits_taken"], outline["misses_taken"]) == pytest.approx(
        area(scores, hits)
    )


def test_a_curve_by_hand() -> None:
    found = curve(np.array([1.0, 3.0, 2.0, 2.0]), np.array([False, True, True, False]))
    assert found.to_numpy().tolist() == [
        [np.inf, 0.0, 0.0], [3.0, 0.0, 0.5], [2.0, 0.5, 1.0], [1.0, 1.0, 1.0]
    ]  # fmt: skip


def test_a_long_curve_keeps_its_ends_and_its_area() -> None:
    draw = np.random.default_rng(0)
    hits = draw.random(5000) < 0.3
    scores = draw.normal(size=5000) + hits
    found = curve(scores, hits, points=50)
    assert len(found) == 51
    assert found.iloc[-1].tolist()[1:] == [1.0, 1.0]
    outline = np.trapezoid(found["hits_taken"], found["misses_taken"])
    assert outline == pytest.approx(area(scores, hits), abs=0.005)


def test_an_area_has_an_interval_and_chance_beside_it() -> None:
    draw = np.random.default_rng(0)
    hits = draw.random(400) < 0.5
    found = area_with_intervals(draw.normal(size=400) + hits, hits, 0)
    # Two normal distributions one standard deviation apart: Φ(1 / √2) = 0.760.
    assert found["low"] < 0.760 < found["high"] and found["low"] < found["value"] < found["high"]
    assert found["shuffled_low"] < 0.5 < found["shuffled_high"] < found["low"]
    # Chance of n hits and m misses spreads by √((n + m + 1) / 12nm), here 0.029.
    spread = found["shuffled_high"] - found["shuffled_low"]
    assert spread == pytest.approx(2 * 1.96 * 0.029, rel=0.15)
