"""Starts of a base SAE: by hand on residuals of width 2, and what drawing them promises."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.training.starts import ngram_means, spread_out, start_directions
from tests.builders import residuals

TOKENS = torch.tensor([[0, 7, 8, 9], [0, 7, 8, 8], [0, 5, 7, 8]])


def text(values: dict[tuple[int, int], list[float]]) -> tuple[Any, Any]:
    """Residuals on some (window, position)s of `TOKENS`, and the windows."""
    window, position = zip(*values, strict=True)
    rows = torch.tensor(list(values.values()))
    acts = residuals(rows, window, position, torch.tensor([1.0, 0.0]))
    acts.token[:] = TOKENS.numpy()[list(window), list(position)]
    return acts, SimpleNamespace(tokens=TOKENS)


VALUES = {
    (0, 2): [1.0, 0.0],  # 7 8
    (1, 3): [5.0, 5.0],  # 8 8
    (1, 2): [3.0, 2.0],  # 7 8
    (2, 3): [2.0, 1.0],  # 7 8
    (0, 1): [4.0, 4.0],  # start 7
    (1, 1): [6.0, 0.0],  # start 7
}


def test_an_ngrams_mean_is_over_the_last_token_of_each_of_its_places() -> None:
    means, counts = ngram_means(*text(VALUES), longest=2, least=2)
    # 7 twice, 8 four times; then 7 8 three times. "start 7" is 7 again, "8 8" occurs once.
    assert counts.tolist() == [2, 4, 3]
    assert means.tolist() == [[5.0, 2.0], [2.75, 2.0], [2.0, 1.0]]
    means, counts = ngram_means(*text(VALUES), longest=3, least=2)
    # Of three tokens "start 7 8" occurs twice, apart from "5 7 8".
    assert counts.tolist() == [2, 4, 3, 2]
    assert means[3].tolist() == [2.0, 1.0]
    means, counts = ngram_means(*text(VALUES), longest=1, least=3)
    assert (means.tolist(), counts.tolist()) == ([[2.75, 2.0]], [4])


def test_what_lies_before_a_text_is_no_token() -> None:
    # "0 7" three times: after nothing, after 1, after 5.
    acts = residuals(torch.eye(3), [0, 1, 2], [1, 2, 2])
    acts.token[:] = 7
    windows: Any = SimpleNamespace(tokens=torch.tensor([[0, 7, 9], [1, 0, 7], [5, 0, 7]]))
    means, counts = ngram_means(acts, windows, longest=3, least=1)
    assert counts.tolist() == [3, 1, 1, 1]
    assert sorted(means[1:].tolist(), reverse=True) == torch.eye(3).tolist()
    assert ngram_means(acts, windows, longest=3, least=2)[1].tolist() == [3]


def test_an_ngram_is_told_apart_by_each_of_its_tokens() -> None:
    tokens = [[0, 7, 8], [0, 7, 9], [0, 7, 8], [0, 7, 9], [0, 5, 8], [0, 5, 9]]
    acts = residuals(torch.arange(6.0)[:, None], range(6), [2] * 6)
    acts.token[:] = [row[2] for row in tokens]
    windows: Any = SimpleNamespace(tokens=torch.tensor(tokens))
    means, counts = ngram_means(acts, windows, longest=2, least=2)
    # 8 and 9 three times each; "7 8" and "7 9" twice, "5 8" and "5 9" once.
    assert counts.tolist() == [3, 3, 2, 2]
    assert means[:, 0].tolist() == [2.0, 3.0, 1.0, 2.0]


def test_starts_are_centred_means_and_then_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasae.training.starts.LEAST", 2)
    acts, windows = text(VALUES)
    made = start_directions(acts, windows, 2)
    # A share of 0.95 of two is one mean, and one row is left.
    rows = (torch.tensor(list(VALUES.values())) - acts.mean).tolist()
    means = ngram_means(acts, windows, least=2)[0] - acts.mean
    assert made[0].tolist() in means.tolist() and made[1].tolist() in rows
    assert torch.equal(made, start_directions(acts, windows, 2))


def test_a_text_in_which_nothing_recurs_starts_from_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasae.training.starts.LEAST", 5)
    acts, windows = text(VALUES)
    made = start_directions(acts, windows, 6)
    expected = torch.tensor(list(VALUES.values())) - acts.mean
    assert torch.equal(made, expected)


def test_what_lies_on_a_drawn_one_comes_last() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 8, generator=generator)
    rows = torch.stack([one, 2 * one, 3 * one, other])
    for seed in range(20):
        chosen = spread_out(rows.repeat(100, 1), torch.ones(400), 300, seed)
        # Two directions in all: after the first block only copies are left, each drawn once.
        assert len(set(chosen.tolist())) == 300


def test_all_that_were_drawn_before_are_kept_away_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasae.training.starts._BLOCK", 1)
    rows = torch.eye(4).repeat_interleave(25, 0)
    for seed in range(8):
        # One of each direction, then again any.
        chosen = spread_out(rows, torch.ones(100), 6, seed)
        assert sorted((chosen[:4] // 25).tolist()) == [0, 1, 2, 3]
        assert len(set(chosen.tolist())) == 6


def test_what_is_twice_as_far_is_drawn_twice_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasae.training.starts._BLOCK", 1)
    # From the first, which weighs most, the others are at a cosine distance of ½ and 1.
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0], [0.0, 0.0, 2.0]])
    weight = torch.tensor([1e9, 1.0, 1.0])
    second = [int(spread_out(rows, weight, 2, seed)[1]) for seed in range(300)]
    assert second.count(0) == 0 and 70 < second.count(1) < 130


def test_a_weight_favours() -> None:
    rows = torch.eye(300)
    weight = torch.ones(300)
    weight[:10] = 1e6
    assert set(range(10)) <= set(spread_out(rows, weight, 20).tolist())


@given(st.integers(1, 40), st.integers(0, 5))
def test_every_row_is_drawn_once_when_all_are(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, 3, generator=generator)
    assert sorted(spread_out(rows, torch.ones(count), count, seed).tolist()) == list(range(count))
    assert np.unique(spread_out(rows, torch.ones(count), count // 2, seed)).size == count // 2
