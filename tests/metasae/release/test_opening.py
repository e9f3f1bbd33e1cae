"""The pair to open on: chosen by hand-made facts, and by a search of the small lab."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.release import opening as opening_module
from metasae.release.opening import FAMILIAR, OpeningPair, candidates, opening, ranked
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.steering.certainty import CLEAR
from metasae.steering.edits import MetaLatentEdit
from metasae.text.cities import ATTRIBUTES, find_city
from tests.builders import city_record


def record(name: str, *facts: str, unknown: str = "", latent: bool = True) -> CityRecord:
    plain = city_record(name, "", *([1] if latent else []))
    known = {attribute: attribute != unknown for attribute in ATTRIBUTES}
    country, language, continent, currency = facts
    return replace(
        plain, known=known, country=country, language=language, continent=continent,
        currency=currency,
    )  # fmt: skip


def sharing(name: str, *facts: str) -> CityRecord:
    """A city that is edited by a latent of others, too."""
    plain = record(name, *facts)
    return replace(plain, latents=(replace(plain.latents[0], own=False),))


TABLE = (
    record("a", "J", "j", "A", "y"),
    record("b", "F", "f", "E", "e"),
    record("c", "E", "a", "E", "p"),  # shares its continent with b
    record("d", "N", "n", "N", "d", unknown="currency"),
    record("e", "O", "o", "O", "o", latent=False),
    sharing("f", "P", "q", "P", "q"),
)


def test_pairs_differ_in_everything_and_are_known() -> None:
    pairs = candidates(TABLE, familiar="abcdef")
    assert pairs == [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")]
    assert candidates(TABLE, most=2, familiar="abcdef") == [("a", "b"), ("c", "a")]
    assert candidates(TABLE, familiar="ab") == [("a", "b"), ("b", "a")]
    # Of a model that knows no pair of familiar cities any will do; of one that knows none, none.
    assert candidates(TABLE, familiar="bd") == pairs
    assert candidates(TABLE[1:]) == []


def test_familiar_cities_stand_in_the_table() -> None:
    assert [find_city(name).name for name in FAMILIAR] == list(FAMILIAR)
    assert len(set(FAMILIAR)) == len(FAMILIAR)


def test_more_patterns_come_before_larger_margins() -> None:
    def pair(*margins: float) -> OpeningPair:
        found = tuple(FoundEdit(MetaLatentEdit(), {}, one, "") for one in margins)
        return OpeningPair("a", "b", 4, found)

    order = [pair(0.6, 0.6, 0.6), pair(2.0, 5.0), pair(3.0, 1.0), pair(math.inf), pair()]
    assert sorted(reversed(order), key=lambda one: one.rank, reverse=True) == order
    assert pair().rank == (0, 0.0) and pair(2.0, 5.0).rank == (2, 3.5)
    assert pair(3.0).rank == (1, 3.0)


def searched(monkeypatch: pytest.MonkeyPatch, **margins: Sequence[float]) -> Any:
    """A lab in which a search of a pair, called by two letters, finds edits of some margins.

    A pair of no letters of its own is none, and one of capitals has too many combinations.
    """
    edits = {
        pair: tuple(
            FoundEdit(MetaLatentEdit(((number, 1.0),)), {"country": True}, margin, f"{number}")
            for number, margin in enumerate(some)
        )
        for pair, some in margins.items()
    }

    def combinations(pair: str) -> range:
        return range(1024 + pair.isupper())

    def search(pair: str, among: range) -> tuple[FoundEdit, ...]:
        assert len(among) == 1024
        return edits[pair]

    def experiment(source: str, target: str) -> str:
        if source == target:
            raise UserError("The same.")
        return source + target

    monkeypatch.setattr(opening_module, "Combinations", SimpleNamespace(of=combinations))
    monkeypatch.setattr(opening_module, "search", search)
    return SimpleNamespace(subject=str, experiment=experiment, records={})


def test_pairs_are_ranked_by_what_a_search_of_each_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = math.nextafter(CLEAR, math.inf)
    lab = searched(monkeypatch, ab=[3.0, CLEAR, 0.1], cd=[beyond, 1.0], AB=[9.0] * 9, ef=[4.0])
    told: list[tuple[float, str]] = []
    pairs = [("a", "b"), ("c", "d"), ("A", "B"), ("e", "e"), ("e", "f")]
    found = ranked(lab, pairs, lambda stage, share, note: told.append((share, note)))
    assert [(one.source, one.target, one.combinations) for one in found] == [
        ("c", "d", 1024), ("e", "f", 1024), ("a", "b", 1024),
    ]  # fmt: skip
    # As many nats as `CLEAR` are not clear.
    assert [[one.margin for one in pair.clear] for pair in found] == [[beyond, 1.0], [4.0], [3.0]]
    assert told == [
        (0.2, "a to b"), (0.4, "c to d"), (0.6, "A to B"), (0.8, "e to e"), (1.0, "e to f"),
    ]  # fmt: skip


def test_the_pair_to_open_on_says_whether_it_reaches_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for count, enough in ((4, False), (5, True)):
        lab = searched(monkeypatch, ab=[1.0] * count, cd=[2.0])
        monkeypatch.setattr(opening_module, "candidates", lambda _: [("c", "d"), ("a", "b")])
        chosen = opening(lab)
        assert chosen is not None and len(chosen.pop("patterns")) == count
        assert chosen == {
            "source": "a", "target": "b", "combinations": 1024,
            "clear_nats": CLEAR, "enough": enough, "pairs_tried": 2,
        }  # fmt: skip


@pytest.mark.slow
def test_the_best_pair_is_the_one_a_search_finds_most_of(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "MOST_COMBINATIONS", 2**14)
    pairs = candidates(small_lab.records.values())
    assert ("Tokyo", "Paris") in pairs and ("Cairo", "Paris") in pairs
    # The same city twice is no pair: it is left out, and the others are ranked.
    found = ranked(small_lab, [*pairs, ("Paris", "Paris")])
    assert {(one.source, one.target) for one in found} == set(pairs)
    for one in found:
        experiment = small_lab.experiment(
            small_lab.subject(one.source), small_lab.subject(one.target)
        )
        reached = [edit.pattern for edit in search(experiment) if edit.margin > CLEAR]
        assert [edit.pattern for edit in one.clear] == reached
    assert [one.rank for one in found] == sorted((one.rank for one in found), reverse=True)
    chosen = opening(small_lab)
    assert chosen is not None
    assert (chosen["source"], chosen["target"]) == (found[0].source, found[0].target)
    assert len(chosen["patterns"]) == len(found[0].clear)
    assert chosen["enough"] == (len(found[0].clear) >= 5) and chosen["pairs_tried"] == len(found)
    assert replace(small_lab, report={"opening": chosen}).opening == (
        found[0].source, found[0].target,
    )  # fmt: skip


def test_too_many_meta_latents_are_no_first_screen(
    small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "MOST_COMBINATIONS", 1)
    assert ranked(small_lab, [("Tokyo", "Paris")]) == []
    assert opening(small_lab) is None
