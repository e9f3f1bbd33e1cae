"""Orthogonal matching pursuit on planted sums."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.saes.pursuit import pursuit, pursuits
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


def one_by_one(
    directions: torch.Tensor, target: torch.Tensor, count: int, signed: bool
) -> tuple[list[int], float]:
    """The textbook's algorithm: what is taken, and the squared length that is left."""
    left, chosen = target.double(), list[int]()
    for _ in range(count):
        score = directions.double() @ left
        score = score.abs() if signed else score
        score[chosen] = -torch.inf
        best = int(score.argmax())
        if score[best] <= 1e-5:
            break
        chosen.append(best)
        rows = directions[chosen].double()
        weights = torch.linalg.lstsq(rows.T, target.double()[:, None]).solution[:, 0]
        left = target.double() - weights @ rows
    return chosen, float(left.square().sum())


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([7, 12]), st.booleans())
def test_many_at_once_are_each_by_itself(seed: int, count: int, rows: int, signed: bool) -> None:
    # Of fewer rows than targets the products with each other are worked out before.
    directions, targets = unit_rows(seed, rows, 5), unit_rows(seed + 1, 9, 5)
    made = pursuits(directions, targets, count, chunk=4, signed=signed)
    for target, latents, weights, left in zip(
        targets, made.latents, made.weights, made.left, strict=True
    ):
        chosen, rest = one_by_one(directions, target, min(count, 4), signed)
        assert latents[: len(chosen)].tolist() == chosen
        if count <= 4:
            assert (latents[len(chosen) :] == -1).all() and (weights[len(chosen) :] == 0).all()
            assert float(left[-1]) == pytest.approx(rest, abs=1e-5)


def test_a_target_no_row_points_along_is_left_whole() -> None:
    made = pursuits(torch.eye(3)[:2], torch.tensor([[-1.0, -2.0, 2.0], [3.0, 0.0, 4.0]]), 2)
    assert made.latents.tolist() == [[-1, -1], [0, -1]]
    assert made.weights.tolist() == [[0, 0], [3, 0]]
    assert made.left.tolist() == [[9, 9], [16, 16]]


def test_no_targets_give_no_rows() -> None:
    assert pursuits(torch.eye(3), torch.empty(0, 3), 2).latents.shape == (0, 2)
