"""Figures on names that nothing was chosen by."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.lab.lab import Lab
from metasae.lab.name_latents import activation_table
from metasae.lab.ranking import ranked
from metasae.release import generalisation
from metasae.release.figures import Swapped, share_of, sharing
from metasae.release.generalisation import (
    drawn_cities,
    drawn_known,
    drawn_titles,
    figures_on_names,
    records_outside,
    swapped_pairs,
)
from metasae.sources.presets import GEONAMES, WIKIPEDIA, Wheel
from metasae.steering.edits import LatentSwap
from metasae.text.cities import ATTRIBUTES, City, load_cities
from metasae.text.name_lists import ListedName
from tests.builders import city_record


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of forty names each: every other one is of the generalisation set."""

    def cities(wheel: Path) -> list[ListedName]:
        assert wheel == Path(GEONAMES.filename)
        return [
            ListedName(f"Place {n}", "generalisation" if n % 2 else "text",
                       "Japan" if n % 4 else "Nowhere")
            for n in range(40)
        ]  # fmt: skip

    def titles(named: list[str]) -> list[ListedName]:
        assert named == ["x"]
        return [
            ListedName(f"Title {n}", "choices" if n % 2 else "generalisation") for n in range(40)
        ]

    def fetched(wheel: Wheel, *_: object) -> Path:
        return Path(wheel.filename)

    def titled(wheel: Path) -> list[str]:
        assert wheel == Path(WIKIPEDIA.filename)
        return ["x"]

    monkeypatch.setattr(generalisation, "fetch_wheel", fetched)
    monkeypatch.setattr(generalisation, "listed_cities", cities)
    monkeypatch.setattr(generalisation, "listed_titles", titles)
    monkeypatch.setattr(generalisation, "wikipedia_titles", titled)


def test_only_names_of_the_generalisation_set_are_drawn(lists: None) -> None:
    drawn = drawn_cities(count=8)
    assert drawn == drawn_cities(count=8) and len({city.name for city in drawn}) == 8
    assert all(int(city.name.split()[1]) % 2 for city in drawn)
    assert {(city.country, city.language, city.currency) for city in drawn} == {
        ("Japan", "Japanese", "yen")
    }
    assert len(drawn_cities(count=100)) == 20
    assert all(int(title.split()[1]) % 2 == 0 for title in drawn_titles(count=8))


def test_so_many_names_are_drawn_as_the_figures_are_of(
    lists: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def drawn(total: int, count: int) -> list[int]:
        asked.append((total, count))
        return [0]

    monkeypatch.setattr(generalisation, "_drawn", drawn)
    assert len(drawn_cities()) == len(drawn_titles()) == 1
    many = [knowing(str(n), *ATTRIBUTES) for n in range(40)]
    assert drawn_known(many) == many[:1]
    assert asked == [(20, 500), (20, 250), (40, 30)]


def test_a_city_outside_is_measured_as_one_of_the_table(small_lab: Lab) -> None:
    inside = [city for city in load_cities() if city.name in small_lab.records][:2]
    twins = records_outside(small_lab, inside)
    for city, twin in zip(inside, twins, strict=True):
        known = small_lab.records[city.name]
        assert twin.chosen[0].latent == known.chosen[0].latent
        assert twin.country == known.country


def test_every_ordered_pair_is_swapped_with_its_own_facts(small_lab: Lab) -> None:
    cities = [city for city in load_cities() if city.name in small_lab.records][:3]
    some = drawn_known(records_outside(small_lab, cities))
    pairs: list[Swapped] = list(swapped_pairs(small_lab, some))
    assert len(pairs) == len(some) * (len(some) - 1)
    for pair in pairs:
        outcome = pair.experiment.apply(LatentSwap())
        own = {answer.text for _, answer in outcome.questions.answers
               if pair.source.name in answer.cities}  # fmt: skip
        assert own == set(pair.source.answers.values())
    assert drawn_known(some, 1)[0] in some


def test_a_city_the_model_knows_little_of_is_not_swapped(small_lab: Lab) -> None:
    unknown = City("Nowhere", "Japan", "Japanese", "Asia", "yen")
    (record,) = records_outside(small_lab, [unknown])
    assert sum(record.known.values()) >= 2 or drawn_known([record]) == []


def knowing(name: str, *known: str, chosen: int = 1) -> CityRecord:
    """A city of which the model knows some attributes."""
    record = city_record(name, "Japan", *range(chosen))
    return replace(record, known={attribute: attribute in known for attribute in ATTRIBUTES})


def test_a_city_is_swapped_from_two_known_facts_on_and_with_a_latent() -> None:
    cities = [
        knowing("none"), knowing("one", "country"), knowing("two", "country", "language"),
        knowing("unnamed", "country", "language", chosen=0), knowing("all", *ATTRIBUTES),
    ]  # fmt: skip
    assert [one.name for one in drawn_known(cities)] == ["two", "all"]
    many = [knowing(f"{n:02}", *ATTRIBUTES) for n in range(40)]
    some = drawn_known(many, 10)
    # In their order, the same each time, not simply the first.
    assert some == sorted(some, key=lambda one: one.name) == drawn_known(many, 10)
    assert len({one.name for one in some}) == 10 and some != many[:10]


def test_a_swap_exchanges_all_that_is_active_or_the_chosen_alone(small_lab: Lab) -> None:
    latents = (
        RankedLatent(3, 9.0, 0.9, 0.5, True, True),
        RankedLatent(4, 4.0, 0.9, 0.5, True, True),
        RankedLatent(5, 3.0, 0.1, 0.5, False, False),
        RankedLatent(6, 2.0, 0.1, 0.5, False, False),  # below a quarter of 9
    )
    # As Tokyo and Paris are in the table, but for their latents.
    cities = [replace(small_lab.records[name], latents=latents) for name in ("Tokyo", "Paris")]
    made: list[Any] = []

    class Counted:
        records = small_lab.records

        def experiment(self, source: Any, target: Any, questions: Any) -> Any:
            made.append((source, target, questions))
            return len(made)

    lab: Any = Counted()
    pairs = list(swapped_pairs(lab, cities))
    assert [(one.source.name, one.target.name) for one in pairs] == [
        ("Tokyo", "Paris"), ("Paris", "Tokyo"),
    ]  # fmt: skip
    assert [one.experiment for one in pairs] == [1, 2]
    source, target, questions = made[0]
    assert (source.label, source.name, target.label) == ("Tokyo", "Tokyo", "Paris")
    for one in (source, target):
        assert (one.latents, one.activations) == ((3, 4), (9.0, 4.0))
        assert one.active == ((3, 9.0), (4, 4.0), (5, 3.0))
    assert {answer.text for answer in questions[0].answers if "Paris" in answer.cities} == {
        cities[1].answers["country"]
    }
    list(swapped_pairs(lab, cities, chosen_alone=True))
    assert made[2][0].active == made[2][1].active == ()
    assert (made[2][0].latents, made[2][0].activations) == ((3, 4), (9.0, 4.0))


def test_the_figures_on_names_are_counted(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [city for city in load_cities() if city.name in small_lab.records]
    titles = ["Old Tokyo", "tea", "hamster"]
    monkeypatch.setattr(generalisation, "drawn_cities", lambda _: inside[:3])
    monkeypatch.setattr(generalisation, "drawn_titles", lambda _: titles)
    # Of the table one city's country and one city's currency are not known.
    records = list(small_lab.records.values())
    records[0] = replace(records[0], known=records[0].known | {"country": False})
    records[1] = replace(
        records[1], known=records[1].known | {"currency": False},
        latents=tuple(replace(one, own=False) for one in records[1].latents),
    )  # fmt: skip
    lab = replace(small_lab, records={one.name: one for one in records})
    swapped: list[tuple[list[str], bool]] = []

    def swaps(pairs: Iterable[Swapped], count: int, progress: Any) -> dict[str, Any]:
        made = list(pairs)
        assert len(made) == count
        actives = [one.experiment.source.active for one in made]
        swapped.append(([one.source.name for one in made], any(actives)))
        return {"pairs": count}

    monkeypatch.setattr(generalisation, "swaps", swaps)
    found = figures_on_names(lab)
    names = [one.name for one in records]
    count = len(names)
    assert found["floor"] == small_lab.reference.floor
    assert found["reference_names"] == small_lab.reference.table["name"].nunique()
    table = found["table"]
    own = [any(latent.own for latent in one.latents) for one in records]
    assert own[0] and not own[1] and table["own"] == share_of(sum(own), count)
    assert table["own_known"] == share_of(sum(own) - 1, count - 1)
    assert table["known"] == {
        attribute: share_of(count - (attribute in ("country", "currency")), count)
        for attribute in ATTRIBUTES
    }
    assert table["sharing"] == sharing(lab.decomposition, records[1:])
    pairs = count * (count - 1)
    assert table["swap"] == {"pairs": pairs, "cities": names}
    assert table["swap_of_chosen"] == {"pairs": pairs}
    outside = found["cities"]
    assert outside["own"]["of"] == 3 and outside["swap"]["pairs"] == 6
    assert outside["swap"]["cities"] == [city.name for city in inside[:3]]
    # The table's swaps, then those outside: with all that is active, then with the chosen alone.
    assert [active for _, active in swapped] == [True, False, True, False]
    rows = activation_table(lab.model, lab.decomposition.sae, titles, lab.median_norm)
    having = [
        any(one.own for one in ranked(lab.reference, name, row))
        for name, row in zip(titles, rows, strict=True)
    ]
    assert having[0] and found["titles"] == {"own": share_of(sum(having), 3)}


def test_what_is_active_outside_is_measured_in_contexts_of_each_name(small_lab: Lab) -> None:
    city = City("Old Tokyo", "Japan", "Japanese", "Asia", "yen")
    (record,) = records_outside(small_lab, [city])
    sae = small_lab.decomposition.sae
    (row,) = activation_table(small_lab.model, sae, ["Old Tokyo"], small_lab.median_norm)
    expected = ranked(small_lab.reference, "Old Tokyo", row)
    assert [(one.latent, one.activation, one.selectivity) for one in record.latents] == [
        (one.latent, one.activation, one.selectivity) for one in expected
    ]
    assert row[record.chosen[0].latent] > 0 and torch.isfinite(row).all()
