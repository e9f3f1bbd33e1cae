"""Orthogonal matching pursuit on planted sums."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes.pursuit import pursuit
from tests.builders import unit_rows


def test_pursuit_finds_a_planted_sum() -> None:
    directions = torch.eye(10)
    made = pursuit(directions, torch.tensor([0, 3.0, 0, 0, 2, 0, 0, 0, 0, 1]), 3)
    assert made.table["latent"].tolist() == [1, 4, 9]
    assert made.table["weight"].tolist() == pytest.approx([3, 2, 1])
    assert made.explained == pytest.approx((9 / 14, 13 / 14, 1.0))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_pursuit_explains_more_with_every_row_and_leaves_nothing_along_them(
    seed: int, count: int
) -> None:
    directions, target = unit_rows(seed), unit_rows(seed + 1, 1)[0]
    made = pursuit(directions, target, count)
    assert list(made.explained) == sorted(made.explained)
    chosen = directions[made.table["latent"].tolist()]
    left = target - torch.tensor(made.table["weight"].tolist()) @ chosen
    assert (chosen @ left).abs().max() < 1e-4
    assert made.explained[-1] == pytest.approx(1 - float(left.square().sum()), abs=1e-4)
    assert made.table["latent"].is_unique
