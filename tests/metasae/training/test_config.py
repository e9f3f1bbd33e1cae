"""A training's rate and its active latents, step by step."""

import pytest

from metasae.training.config import TrainConfig


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    config = TrainConfig(width=8, k=2, steps=100, lr=1.0, warmup=10, decay=0.2)
    assert [config.rate(step) for step in (0, 4, 9, 50, 80)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    assert [config.rate(step) for step in (90, 95, 99)] == pytest.approx([0.5, 0.25, 0.05])


def test_the_rate_needs_neither_a_rise_nor_a_fall() -> None:
    config = TrainConfig(width=8, k=2, steps=10, lr=3.0, warmup=0, decay=0.0)
    assert {config.rate(step) for step in range(10)} == {3.0}


def test_latents_become_fewer_until_they_are_settled() -> None:
    config = TrainConfig(width=64, k=4, steps=100, first_k=3.0, settled=0.5)
    assert [config.active(step) for step in (0, 25, 50, 99)] == [12, 8, 4, 4]
    # Never more than there are.
    assert TrainConfig(width=6, k=4, steps=100, first_k=3.0).active(0) == 6
    assert {TrainConfig(width=64, k=4, steps=9).active(step) for step in range(9)} == {4}
