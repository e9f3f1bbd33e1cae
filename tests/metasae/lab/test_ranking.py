"""Whose a latent is, which are chosen, and what is said where none is a name's own."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.lab.city_records import CANDIDATES, NameRecord, RankedLatent
from metasae.lab.ranking import choose, is_own, ranked, shared
from metasae.lab.reference_names import ReferenceNames


def claim(latent: int, activation: float, share: float) -> RankedLatent:
    return RankedLatent(latent, activation, share, None, False, False)


@pytest.mark.parametrize(
    ("activation", "share", "own"),
    [
        (10.0, 0.51, True),
        (10.0, 0.5, False),  # exactly half is not its own
        (4.0, 0.9, True),  # exactly at the floor
        (3.99, 1.0, False),
    ],
)
def test_a_latent_is_a_names_own_when_it_is_selective_and_strong(
    activation: float, share: float, own: bool
) -> None:
    assert is_own(claim(1, activation, share), 4.0) is own
    (one,) = choose([claim(1, activation, share)], 4.0)
    assert one.own is own and one.chosen


def test_a_names_own_strong_latents_are_chosen() -> None:
    found = choose(
        [
            claim(1, 40.0, 0.3),  # strong, but not its own
            claim(2, 10.0, 0.9),
            claim(3, 2.6, 0.8),  # more than a quarter of the strongest own one
            claim(4, 2.4, 0.9),  # less
            claim(5, 9.0, 0.5),
        ],
        floor=0.0,
    )
    assert [one.latent for one in found if one.chosen] == [2, 3]
    assert [one.latent for one in found if one.own] == [2, 3, 4]
    # The chosen first, then by activation × selectivity: 12, 4.5, 2.16.
    assert [one.latent for one in found] == [2, 3, 1, 5, 4]


def test_what_is_below_the_floor_is_not_chosen_beside_an_own_one() -> None:
    found = choose([claim(2, 10.0, 0.9), claim(3, 4.0, 0.8)], floor=5.0)
    assert [one.latent for one in found if one.chosen] == [2]


def test_without_an_own_latent_the_best_is_chosen() -> None:
    found = choose([claim(7, 10.0, 0.4), claim(8, 20.0, 0.1)], 0.0)
    assert [one.latent for one in found if one.chosen] == [7]
    assert not any(one.own for one in found)
    assert choose([], 0.0) == ()


REFERENCE = ReferenceNames.of(
    ["guinea pig", "mouse", "Tokyo"],
    torch.tensor([[8.0, 0.0, 0.0, 0.0], [6.0, 1.0, 0.0, 0.0], [0.0, 0.0, 40.0, 0.0]]),
)
"""Floor: a quarter of 8, the median of 8, 6 and 40."""


def test_a_name_is_ranked_against_the_reference() -> None:
    asked: list[list[int]] = []

    def effects(latents: Any) -> list[float]:
        asked.append(list(latents))
        return [0.25] * len(latents)

    found = ranked(REFERENCE, "hamster", torch.tensor([7.0, 3.0, 0.0, 0.0]), effects)
    # 7 of 7 + 14 and 3 of 3 + 1: scores 2.33 and 2.25.
    assert asked == [[0, 1]]
    assert [(one.latent, one.activation, one.selectivity, one.effect) for one in found] == [
        (1, 3.0, 0.75, 0.25), (0, 7.0, 0.3333, 0.25),
    ]  # fmt: skip
    assert [(one.own, one.chosen) for one in found] == [(True, True), (False, False)]


def test_a_name_on_which_nothing_fires_has_no_latents() -> None:
    def never(latents: Any) -> list[float]:
        raise AssertionError("nothing is to be measured")

    assert ranked(REFERENCE, "hamster", torch.zeros(4), never) == ()


def test_as_many_are_ranked_as_there_are_places() -> None:
    reference = ReferenceNames.of(["a"], torch.zeros(1, CANDIDATES + 3))
    found = ranked(reference, "b", torch.arange(1.0, CANDIDATES + 4))
    assert len(found) == CANDIDATES and all(one.effect is None for one in found)


def sentence(*activations: float) -> str:
    record = NameRecord("hamster", ranked(REFERENCE, "hamster", torch.tensor(activations)))
    return shared(record, REFERENCE)


def test_a_name_without_an_own_latent_says_with_whom_it_shares() -> None:
    assert sentence(7.0, 0.0, 0.0, 0.0) == (
        '"hamster" has no latent of its own here: its best, #0 (activation 7.0), is also active on '
        "guinea pig (8.0) and mouse (6.0)."
    )
    # The mouse has less than half of 13.
    assert sentence(13.0, 0.0, 0.0, 0.0) == (
        '"hamster" has no latent of its own here: its best, #0 (activation 13.0), is also active '
        "on guinea pig (8.0)."
    )


def test_a_latent_that_only_flickers_is_said_to() -> None:
    assert sentence(0.0, 0.0, 0.0, 1.5) == (
        '"hamster" has no latent of its own here: its best, #3, is only weakly active on it (1.5; '
        "it would count from 2.0)."
    )
    # That it flickers on the mouse as well makes no hamster of it.
    assert sentence(0.0, 1.0, 0.0, 0.0) == (
        '"hamster" has no latent of its own here: its best, #1, is only weakly active on it (1.0; '
        "it would count from 2.0)."
    )


def test_a_name_is_like_none_that_has_less_than_half_of_its_activation() -> None:
    others = ["a", "b", "c"]
    reference = ReferenceNames.of(others, torch.tensor([[4.0], [4.5], [4.0]]))
    record = NameRecord("x", ranked(reference, "x", torch.tensor([10.0])))
    assert record.latents[0].selectivity == pytest.approx(0.4444)
    assert shared(record, reference) == (
        '"x" has no latent of its own here: its best, #0 (activation 10.0), is also active on many '
        "other names, on each less than half as strongly."
    )


def test_where_there_is_an_own_latent_nothing_is_said() -> None:
    assert sentence(0.0, 0.0, 0.0, 2.0) == ""
    assert sentence(0.0, 0.0, 0.0, 0.0) == ""


NUMBERS = st.floats(0.0, 50.0, width=32)


@given(
    st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=1, max_size=5),
    st.lists(NUMBERS, min_size=4, max_size=4),
)
def test_something_is_chosen_whenever_anything_fires(
    rows: list[list[float]], name: list[float]
) -> None:
    reference = ReferenceNames.of([f"n{n}" for n in range(len(rows))], torch.tensor(rows))
    record = NameRecord("x", ranked(reference, "x", torch.tensor(name)))
    assert bool(record.chosen) == any(value > 0 for value in name)
    assert all(one.own for one in record.chosen) or not record.has_own_latent
    assert bool(shared(record, reference)) == bool(record.latents and not record.has_own_latent)
