"""Which directions are close to which."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes import neighbours
from metasae.saes.neighbours import nearest, nearest_cosine, siblings, split_into
from tests.builders import unit_rows


def test_nearest_cosine_by_hand() -> None:
    # At 0°, 10°, 40° and 180°, of different lengths: the nearest are 10°, 10°, 30° and 140° away.
    angles = torch.tensor([0.0, 10.0, 40.0, 180.0]).deg2rad()
    rows = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5], [2], [3]])
    # torch's median is the lower of the two in the middle.
    expected = math.cos(math.radians(30))
    assert nearest_cosine(rows) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows, chunk=3) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows[:2]) == pytest.approx(math.cos(math.radians(10)), abs=1e-6)


def test_the_nearest_are_the_largest_cosines() -> None:
    directions = unit_rows(0) * torch.arange(1, 41)[:, None]  # lengths don't matter
    found = nearest(directions, 3 * directions[7], 5, without=7)
    cosine = torch.nn.functional.cosine_similarity(directions, directions[7][None])
    cosine[7] = -2
    order = cosine.argsort(descending=True)[:5]
    assert found["latent"].tolist() == order.tolist()
    assert found["cosine"].tolist() == pytest.approx(cosine[order].tolist(), abs=1e-5)
    assert nearest(directions, directions[7], 1)["latent"].tolist() == [7]


def test_siblings_are_the_closest_others() -> None:
    rows = torch.nn.functional.normalize(torch.randn(50, 8))
    found = neighbours.siblings(rows, 3, chunk=7)
    for number in range(50):
        cosine = (rows @ rows[number]).tolist()
        cosine[number] = -2
        assert found[number].tolist() == sorted(range(50), key=lambda n: -cosine[n])[:3]


@st.composite
def directions_with_equals(draw: st.DrawFn) -> torch.Tensor:
    """Random rows of any length, some of them multiples of others: equal directions."""
    different = unit_rows(
        draw(st.integers(0, 10**6)), draw(st.integers(1, 9)), draw(st.integers(2, 6))
    )
    which = draw(st.lists(st.integers(0, len(different) - 1), min_size=2, max_size=24))
    lengths = draw(st.lists(st.floats(0.1, 30.0), min_size=len(which), max_size=len(which)))
    return different[which] * torch.tensor(lengths)[:, None]


def cosines(directions: torch.Tensor, direction: torch.Tensor) -> list[float]:
    """Cosines of one direction with some others, in double precision."""
    return [
        float(one.double() @ direction.double() / (one.double().norm() * direction.double().norm()))
        for one in directions
    ]


@settings(max_examples=100)
@given(directions_with_equals(), st.integers(1, 8), st.integers(1, 7))
def test_siblings_are_the_closest_others_even_among_equals(
    directions: torch.Tensor, count: int, chunk: int
) -> None:
    made = siblings(directions, count, chunk)
    assert made.shape == (len(directions), min(count, len(directions) - 1))
    for latent, others in enumerate(made.tolist()):
        assert latent not in others and len(set(others)) == len(others)
        cosine = cosines(directions, directions[latent])
        expected = sorted(cosine[:latent] + cosine[latent + 1 :], reverse=True)[: len(others)]
        assert [cosine[other] for other in others] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=100)
@given(directions_with_equals(), st.data())
def test_the_nearest_and_the_parts_of_one_are_those_of_brute_force(
    directions: torch.Tensor, data: st.DataObject
) -> None:
    latent = data.draw(st.integers(0, len(directions) - 1))
    cosine = cosines(directions, directions[latent])
    others = cosine[:latent] + cosine[latent + 1 :]
    table = nearest(directions, directions[latent], 4, without=latent)
    assert latent not in table["latent"].tolist()
    expected = sorted(others, reverse=True)[:4]
    assert table["cosine"].tolist() == pytest.approx(expected, abs=1e-5)
    assert [cosine[one] for one in table["latent"]] == pytest.approx(expected, abs=1e-5)
    parts = split_into(directions, directions[latent], 0.5)
    beyond = {one for one, value in enumerate(cosine) if value > 0.5 + 1e-5}
    within = {one for one, value in enumerate(cosine) if value > 0.5 - 1e-5}
    assert beyond <= set(parts) <= within and len(set(parts)) == len(parts)
    ordered = [cosine[part] for part in parts]
    assert ordered == pytest.approx(sorted(ordered, reverse=True), abs=1e-5)


@settings(max_examples=50)
@given(directions_with_equals(), st.integers(1, 7))
def test_the_median_of_the_nearest_cosines_is_that_of_brute_force(
    directions: torch.Tensor, chunk: int
) -> None:
    best = []
    for latent, direction in enumerate(directions):
        cosine = cosines(directions, direction)
        best.append(max(cosine[:latent] + cosine[latent + 1 :]))
    expected = sorted(best)[(len(best) - 1) // 2]
    assert nearest_cosine(directions, chunk) == pytest.approx(expected, abs=1e-5)


def test_one_direction_alone_has_no_neighbours() -> None:
    alone = torch.ones(1, 3)
    assert siblings(alone).shape == (1, 0) and nearest_cosine(alone) == -1.0
    assert nearest(alone, alone[0], without=0).empty
    assert split_into(alone, alone[0]) == [0]
