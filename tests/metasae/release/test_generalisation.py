"""Figures on names that nothing was chosen by."""

from pathlib import Path

import pytest

from metasae.lab.lab import Lab
from metasae.release import generalisation
from metasae.release.figures import Swapped
from metasae.release.generalisation import (
    drawn_cities,
    drawn_known,
    drawn_titles,
    records_outside,
    swapped_pairs,
)
from metasae.sources.presets import GEONAMES, WIKIPEDIA, Wheel
from metasae.steering.edits import LatentSwap
from metasae.text.cities import City, load_cities
from metasae.text.name_lists import ListedName


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
