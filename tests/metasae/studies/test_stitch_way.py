"""Families and L0 worked out by hand; both ends of the way are the two SAEs."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.studies.firing import activations
from metasae.studies.stitch_way import Coded, Families, families, steadiest, walk, way
from tests.builders import random_sae, unit_rows
from tests.metasae.studies.planted import sae_of, sums_of


def similar_pairs(*pairs: tuple[int, int], shape: tuple[int, int]) -> sp.csr_array:
    made = np.zeros(shape)
    for one, other in pairs:
        made[one, other] = 0.8
    return sp.csr_array(made)


def members(found: Families) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each family's larger and smaller latents."""
    return {
        (
            tuple(np.flatnonzero(found.larger == one).tolist()),
            tuple(np.flatnonzero(found.smaller == one).tolist()),
        )
        for one in range(len(found.sizes))
    }


def coded(axes: list[list[int]], rows: torch.Tensor) -> Coded:
    sae = sae_of(sums_of(axes))
    return Coded(sae, activations(sae, rows))


def test_families_hang_together_by_similar_latents() -> None:
    # 0 and 1 are both similar to 0, and 1 to 1 as well; 2 to none; 3 is not swapped.
    close = similar_pairs((0, 0), (1, 0), (1, 1), (3, 2), shape=(4, 4))
    found = families(close, np.array([True, True, True, False]))
    assert members(found) == {((0, 1), (0, 1)), ((2,), ()), ((), (2,)), ((), (3,))}
    gains = found.gains(np.array([5, 1, 7, 9]), np.array([2, 2, 3, 0]))
    by_family = {
        family: int(gains[found.larger[family[0][0]] if family[0] else found.smaller[family[1][0]]])
        for family in members(found)
    }
    assert by_family == {((0, 1), (0, 1)): 2, ((2,), ()): 7, ((), (2,)): -3, ((), (3,)): 0}


def test_without_latents_to_swap_each_smaller_one_is_alone() -> None:
    found = families(similar_pairs((0, 0), shape=(1, 2)), np.array([False]))
    assert members(found) == {((), (0,)), ((), (1,))}


@given(st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=40), st.integers(0, 20))
def test_the_steadiest_order_stays_near_the_line(gains: list[int], seed: int) -> None:
    order = steadiest(np.array(gains), np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(gains)))
    at = np.cumsum(np.array(gains)[order])
    line = sum(gains) * np.arange(1, len(gains) + 1) / len(gains)
    assert np.abs(at - line).max() <= 2


def test_what_raises_and_what_lowers_take_turns() -> None:
    gains = np.array([5, 5, -5, -5, 5, -5])
    order = steadiest(gains, np.random.default_rng(0))
    assert gains[order].tolist() == [5, -5, 5, -5, 5, -5]


def test_l0_and_the_bias_along_the_way() -> None:
    # The smaller SAE has axes 0 and 1, the larger 0, 1 and the novel 2; 3 never fires.
    rows = torch.zeros(4, 8)
    rows[0, [0, 2]] = rows[1, [0]] = rows[2, [1, 2]] = rows[3, [2]] = 1.0
    larger, smaller = coded([[0], [1], [2], [3]], rows), coded([[0], [1]], rows)
    assert larger.firings.tolist() == [2, 1, 3, 0]
    swaps = families(
        similar_pairs((0, 0), (1, 1), shape=(4, 2)), np.array([True, True, False, False])
    )
    novel = np.array([False, False, True, False])
    gains = swaps.gains(larger.firings, smaller.firings)
    found = way(novel, swaps, gains, 3, np.random.default_rng(0))
    assert found.comes[2] == 1 and found.comes[3] == 3 and found.swaps_begin == 1
    assert found.comes[:2].tolist() == found.goes.tolist()
    assert sorted(found.goes.tolist()) == [2, 3]
    assert found.bias.tolist() == [0, 0, 0.5, 1]
    assert [l0 for _, l0 in walk(found, larger, smaller)] == [0.75, 1.5, 1.5, 1.5]
    assert [float((made - rows).square().sum()) for made, _ in walk(found, larger, smaller)] == [
        3.0, 0.0, 0.0, 0.0
    ]  # fmt: skip


def test_a_family_is_never_torn_apart() -> None:
    close = similar_pairs(*((one, 0) for one in range(9)), shape=(10, 2))
    swaps = families(close, np.ones(10, bool))
    gains = swaps.gains(np.ones(10, int), np.ones(2, int))
    found = way(np.zeros(10, bool), swaps, gains, 5, np.random.default_rng(0))
    assert len(set(found.comes[:9].tolist()) | {int(found.goes[0])}) == 1
    assert found.swaps_begin == 0


@given(st.integers(0, 300), st.sampled_from([None, 2]), st.integers(2, 9))
def test_the_ends_are_the_two_saes(seed: int, k: int | None, steps: int) -> None:
    draw = np.random.default_rng(seed)
    saes = random_sae(6, 14, k=k, seed=seed), random_sae(6, 5, k=k, seed=seed + 1)
    rows = 3 * unit_rows(seed, 25, 6)
    larger, smaller = (Coded(sae, activations(sae, rows)) for sae in saes)
    fires, kind = larger.firings > 0, draw.random(14) < 0.5
    close = sp.csr_array((draw.random((14, 5)) < 0.15).astype(float))
    swaps = families(close, fires & ~kind)
    gains = swaps.gains(larger.firings, smaller.firings)
    found = way(fires & kind, swaps, gains, steps, draw)
    for one in (found, found.shuffled(fires, draw)):
        assert one.comes.min() >= 1 and max(one.comes.max(), one.goes.max()) <= steps
        made = list(walk(one, larger, smaller))
        assert len(made) == steps + 1
        for (end, l0), sae in ((made[0], saes[1]), (made[-1], saes[0])):
            assert torch.allclose(end, sae.reconstruct(rows), atol=1e-4)
            assert l0 == pytest.approx(float((sae.encode(rows) > 0).sum() / len(rows)))
    drawn = found.shuffled(fires, draw)
    assert sorted(drawn.comes.tolist()) == sorted(found.comes.tolist())
    assert sorted(drawn.goes.tolist()) == sorted(found.goes.tolist())
    assert drawn.comes[~fires].tolist() == found.comes[~fires].tolist()
