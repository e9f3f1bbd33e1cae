"""What was gathered is read back as it was, and nothing else is taken for it."""

from pathlib import Path

import numpy as np
import pytest

from metasae.explorer.copies import CopyFinder
from metasae.explorer.gathering import _Gatherer
from metasae.explorer.half_gathered import HalfGathered, identity
from tests.builders import cut_off, random_sae
from tests.metasae.explorer.gathered import MEDIAN, WIDTH, distinct, entries


@pytest.mark.parametrize("pending", [10, 10**6])
def test_one_that_goes_on_ends_as_if_it_had_not_stopped(
    tmp_path: Path, pending: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metasae.explorer.gathering._PENDING", pending)
    every, finder = entries(3), CopyFinder(distinct(60))
    parts = [every[np.isin(every["window"], some)] for some in np.array_split(np.arange(60), 6)]
    whole, first = (_Gatherer(WIDTH, MEDIAN, finder) for _ in range(2))
    for number, one in enumerate(parts):
        whole.add(one)
        if number < 3:
            first.add(one)
    HalfGathered(3, 100, "torch.float32", {WIDTH: first.state()}).save(
        tmp_path / "half.npz", "this"
    )
    read = HalfGathered.load(tmp_path / "half.npz", "this")
    assert read is not None and (read.batches, read.tokens, read.precision) == (
        3,
        100,
        "torch.float32",
    )
    second = _Gatherer(WIDTH, MEDIAN, finder)
    second.go_on(read.states[WIDTH])
    for one in parts[3:]:
        second.add(one)
    assert second.table().equals(whole.table())
    assert np.array_equal(second.counts, whole.counts) and second.copies == whole.copies


def test_what_is_damaged_or_about_something_else_is_passed_over(tmp_path: Path) -> None:
    assert HalfGathered.load(tmp_path / "none.npz", "this") is None
    empty = _Gatherer(WIDTH, MEDIAN, CopyFinder(distinct(1))).state()
    HalfGathered(0, 0, "torch.float32", {WIDTH: empty}).save(tmp_path / "half.npz", "this")
    assert HalfGathered.load(tmp_path / "half.npz", "that") is None
    cut_off("half.npz")(tmp_path)
    assert HalfGathered.load(tmp_path / "half.npz", "this") is None


def test_an_identity_is_of_the_text_the_norm_and_the_weights() -> None:
    one, other = (random_sae(6, 12, k=2, seed=seed) for seed in (0, 1))
    made = [
        identity("t", 1.0, {12: one}),
        identity("u", 1.0, {12: one}),
        identity("t", 2.0, {12: one}),
        identity("t", 1.0, {12: other}),
    ]
    assert len(set(made)) == len(made)
    assert made[0] == identity("t", 1.0, {12: one})
