"""φ by brute force, and what it is by chance over every shuffle."""

from itertools import combinations, permutations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from metasae.studies.phi import by_chance, mean_absolute_phi, phi


def random_firing(seed: int, tokens: int = 40, latents: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).random((tokens, latents)) < 0.2


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.astype(float), other.astype(float))[0, 1])


@given(st.integers(0, 1000))
def test_phi_is_the_correlation_of_firing(seed: int) -> None:
    fires = random_firing(seed)
    one, other = np.array([0, 2, 3]), np.array([1, 2, 6])
    found = phi(sp.csr_array(fires.astype(np.float32)), one, other)
    for a, b, value in zip(one, other, found, strict=True):
        if fires[:, a].any() and fires[:, b].any():
            assert value == pytest.approx(correlation(fires[:, a], fires[:, b]), abs=1e-6)
        else:
            assert np.isnan(value)


@given(st.integers(0, 1000))
def test_the_mean_over_all_pairs_is_that_of_each(seed: int) -> None:
    fires = random_firing(seed)
    alive = [n for n in range(fires.shape[1]) if 0 < fires[:, n].sum() < len(fires)]
    every = [correlation(fires[:, a], fires[:, b]) for a, b in combinations(alive, 2)]
    found = mean_absolute_phi(sp.csr_array(fires.astype(np.float32)))
    assert found == pytest.approx(np.mean(np.abs(every)), abs=1e-6)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=4))
def test_by_chance_is_the_mean_over_every_shuffle(often: list[int]) -> None:
    tokens = 5
    first = [[place < count for place in range(tokens)] for count in often]
    firing = sp.csr_array(np.array(first, np.float32).T)
    alive = [n for n, count in enumerate(often) if 0 < count < tokens]
    if len(alive) < 2:
        assert np.isnan(by_chance(firing))
        return
    # Shuffling one of two latents is as good as shuffling both.
    every = [
        abs(correlation(np.array(first[a]), np.array(first[b])[list(order)]))
        for a, b in combinations(alive, 2)
        for order in permutations(range(tokens))
    ]
    assert by_chance(firing) == pytest.approx(np.mean(every), abs=1e-9)


def test_chance_of_as_many_tokens_as_are_read_stays_in_bounds() -> None:
    # Counts whose products exceed 64 bits; about √(2 / π) / √n for such common latents.
    tokens, half = 400_000, 200_000
    column = np.arange(half)
    ones = np.ones(2 * half, np.float32)
    firing = sp.csr_array(
        (ones, (np.concatenate([column, column]), np.repeat([0, 1], half))), shape=(tokens, 2)
    )
    assert by_chance(firing) == pytest.approx((2 / np.pi / tokens) ** 0.5, rel=1e-3)
    assert mean_absolute_phi(firing) == pytest.approx(1.0)
