"""Which directions are close to which."""

import math

import pytest
import torch

from metasae.saes import neighbours
from metasae.saes.neighbours import nearest, nearest_cosine


def test_nearest_cosine_by_hand() -> None:
    # At 0°, 10°, 40° and 180°, of different lengths: the nearest are 10°, 10°, 30° and 140° away.
    angles = torch.tensor([0.0, 10.0, 40.0, 180.0]).deg2rad()
    rows = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5], [2], [3]])
    # torch's median is the lower of the two in the middle.
    expected = math.cos(math.radians(30))
    assert nearest_cosine(rows) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows, chunk=3) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows[:2]) == pytest.approx(math.cos(math.radians(10)), abs=1e-6)


def rows(seed: int, count: int = 40, width: int = 10) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=draw))


def test_the_nearest_are_the_largest_cosines() -> None:
    directions = rows(0) * torch.arange(1, 41)[:, None]  # lengths don't matter
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
