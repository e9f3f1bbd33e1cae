"""The report's figures on numbers small enough to count by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.release.figures import (
    Swapped,
    ordered_pairs,
    share_of,
    sharing,
    swaps,
)
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import Edit, EditOptions, LatentSwap
from metasae.steering.questions import Answer, Question, Questions
from tests.builders import city_record


def membership(*sets: tuple[int, ...]) -> Decomposition:
    """A decomposition in which latent i has exactly the i-th set of meta-latents."""
    width = 8
    rows = torch.zeros(len(sets), width)
    for latent, metas in enumerate(sets):
        rows[latent, list(metas)] = 1.0
    eye = torch.eye(width)
    nothing = torch.zeros(width)
    sae = SparseAutoencoder(rows.T.contiguous(), torch.zeros(len(sets)), rows, nothing, k=1)
    meta = SparseAutoencoder(eye, nothing, eye, nothing, threshold=torch.full((width,), 0.5))
    return Decomposition(sae, meta)


def test_sharing_counts_pairs_by_hand() -> None:
    decomposition = membership((0, 1), (0, 2), (1, 3), (3,), (4,))
    records = [
        city_record("a", "X", 0),
        city_record("b", "X", 1),
        city_record("c", "X", 2),
        city_record("d", "Y", 3),
        city_record("e", "Y", 4),
        city_record("nowhere", "Y"),  # without a latent: not counted
    ]
    found = sharing(decomposition, records)
    # X: a-b share 0, a-c share 1, b-c nothing; Y: d-e nothing: 2 of 4.
    assert found["same_country_share"] == pytest.approx(2 / 4)
    # Of the six pairs of two countries only c-d share (3).
    assert found["two_countries_share"] == pytest.approx(1 / 6)


def test_a_range_is_wide_for_few_cities_and_narrow_for_many() -> None:
    def ranges(copies: int) -> list[float]:
        # In each of two countries half of the cities have meta-latent 0 and half have 1.
        sets = [(0,), (1,)] * (2 * copies)
        countries = ["X"] * (2 * copies) + ["Y"] * (2 * copies)
        records = [city_record(str(n), country, n) for n, country in enumerate(countries)]
        made = sharing(membership(*sets), records)
        # Of two drawn at random half share theirs.
        assert made["two_countries_share"] == 0.5
        low, high = made["two_countries_range"]
        assert low <= 0.5 <= high
        return [low, high]

    few, many = ranges(3), ranges(40)
    assert many[1] - many[0] < 0.2 < few[1] - few[0]


def test_only_the_best_latent_of_a_city_counts() -> None:
    decomposition = membership((0,), (1,), (2,))
    records = [city_record("a", "X", 0, 2), city_record("b", "X", 1, 2)]
    assert sharing(decomposition, records)["same_country_share"] == 0.0
    unchosen = RankedLatent(2, 9.0, 0.9, 0.5, False, False)
    both = [
        CityRecord(**(vars(record) | {"latents": (unchosen, *record.latents)}))
        for record in records
    ]
    assert sharing(decomposition, both)["same_country_share"] == 0.0


def test_a_country_has_a_meta_latent_when_most_of_its_cities_and_few_others_do() -> None:
    # X: meta-latent 0 is on 2 of its 3 cities (0.67) and on no other.
    # Y: 1 is on all 3, but also on one of the 23 others (0.043): it still counts.
    # Z: 2 is on all 3, and on two of the 23 others (0.087): it does not.
    # W: no meta-latent on 60 % of its 3.
    # V: two cities only: not asked. The 12 others are of U, which has 5 on all of them.
    sets = [
        (0,), (0, 2), (7,),
        (1,), (1,), (1, 2),
        (2,), (2,), (2,),
        (3, 1), (3,), (4,),
        (6,), (6,),
        *[(5,)] * 12,
    ]  # fmt: skip
    countries = ["X"] * 3 + ["Y"] * 3 + ["Z"] * 3 + ["W"] * 3 + ["V"] * 2 + ["U"] * 12
    records = [city_record(str(n), country, n) for n, country in enumerate(countries)]
    found = sharing(membership(*sets), records)
    assert found["countries"] == 5
    assert found["countries_with_meta_latent"] == 4
    assert found["countries_without"] == ["Z"]


def test_sharing_of_no_cities_is_zero() -> None:
    found = sharing(membership((0,)), [])
    assert found["same_country_share"] == 0 and found["countries"] == 0


def swapped(
    source: str, target: str, *rows: tuple[str, str, float], known: bool = True, next_word: str = ""
) -> Swapped:
    """A pair whose swap gives (attribute, whose, log-probability); nothing moves at the name.

    An answer is called as the city whose it is.
    """
    asked = {attribute: [row for row in rows if row[0] == attribute] for attribute, *_ in rows}
    questions = Questions(
        tuple(
            Question(name, "", tuple(Answer(tuple(city.split(", ")), city) for _, city, _ in group))
            for name, group in asked.items()
        )
    )

    def apply(edit: Edit) -> SimpleNamespace:
        assert edit in (LatentSwap(), LatentSwap(options=EditOptions(position="all")))
        scores = torch.tensor([nats for group in asked.values() for *_, nats in group])
        if edit.options.position == "last":
            scores = torch.where(questions.belonging_to(source), 0.0, scores)
        return SimpleNamespace(
            source=SimpleNamespace(label=source),
            target=SimpleNamespace(label=target),
            questions=questions,
            logprobs=scores,
            top_after=[[(next_word, -0.1)]] * len(asked),
        )

    def record(name: str, known: bool) -> CityRecord:
        plain = vars(city_record(name, "X", 1))
        return CityRecord(**(plain | {"known": dict.fromkeys(asked, known)}))

    experiment: Any = SimpleNamespace(apply=apply)
    return Swapped(record(source, known), record(target, True), experiment)


def test_swaps_count_the_attributes_that_differ_and_those_that_moved() -> None:
    pairs = [
        swapped(
            "Rome",
            "Tokyo",
            ("country", "Rome", -3.0),
            ("country", "Tokyo", -1.0),  # moved
            ("language", "Rome", -1.0),
            ("language", "Tokyo", -1.5),  # stayed
            ("language", "Cairo", -9.0),
            ("continent", "Rome", -4.0),
            ("continent", "Tokyo", -3.0),
            ("continent", "Cairo", -2.0),  # moved, though a third city's is first of all
            next_word=" Tok",  # begins the answer to all three
        ),
        swapped(
            "Rome",
            "Paris",
            ("country", "Rome", -3.0),
            ("country", "Paris, Nice", -1.0),  # moved, under a shared label
            ("currency", "Rome, Paris", -1.0),  # the same answer: nothing to move
            ("currency", "Cairo", -0.5),
            next_word=" the",
        ),
    ]
    told: list[float] = []
    made = swaps(iter(pairs), 2, lambda stage, fraction, note: told.append(fraction))
    assert (made["pairs"], made["attributes"]) == (2, 4)
    counted = {way: made[way]["count"] for way in ("moved", "first_of_all", "most_likely")}
    assert counted == {"moved": 3, "first_of_all": 2, "most_likely": 3}
    assert made["moved"]["share"] == 0.75 and made["moved"]["of"] == 4
    assert made["at_name"]["moved"]["count"] == made["at_name"]["first_of_all"]["count"] == 0
    assert told == [0.5, 1.0]


def test_a_fact_the_model_does_not_know_does_not_count() -> None:
    rows = (("country", "Rome", -3.0), ("country", "Tokyo", -1.0))
    assert swaps([swapped("Rome", "Tokyo", *rows)], 1)["attributes"] == 1
    unknown = swaps([swapped("Rome", "Tokyo", *rows, known=False)], 1)
    assert unknown["attributes"] == 0 and unknown["moved"]["share"] is None


def test_swaps_take_the_name_whole() -> None:
    # "York" is no part of "New York".
    pair = swapped("Rome", "York", ("country", "Rome", -3.0), ("country", "New York", -1.0))
    assert swaps([pair], 1)["moved"]["count"] == 0


def test_the_sources_own_answer_as_the_next_token_is_none_of_the_targets() -> None:
    rows = (("country", "Rome", -3.0), ("country", "Tokyo", -1.0))
    for word, count in ((" Rom", 0), (" To", 1), (" ", 0), (" Tokyo Bay", 0)):
        made = swaps([swapped("Rome", "Tokyo", *rows, next_word=word)], 1)
        assert made["most_likely"]["count"] == count, word


def test_a_share_with_its_interval() -> None:
    # Wilson's interval of 8 of 10, by its formula with z = 1.959964.
    z = 1.959964
    middle = (0.8 + z * z / 20) / (1 + z * z / 10)
    half = z * (0.8 * 0.2 / 10 + z * z / 400) ** 0.5 / (1 + z * z / 10)
    share = share_of(8, 10)
    assert (share["count"], share["of"], share["share"]) == (8, 10, 0.8)
    assert share["low"] == pytest.approx(middle - half, abs=1e-6)
    assert share["high"] == pytest.approx(middle + half, abs=1e-6)


def test_ordered_pairs() -> None:
    found = ordered_pairs(["a", "b", "c"])
    assert len(found) == 6 and ("b", "a") in found and ("a", "a") not in found
