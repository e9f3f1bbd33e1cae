"""The city table holds together, and its look-ups forgive spelling but name what they miss."""

from __future__ import annotations

import csv
import io
from collections import Counter
from importlib import resources

import pytest

from metasae.errors import UserError
from metasae.text.cities import (
    ATTRIBUTES,
    City,
    city_called,
    distinct_answers,
    facts_by_answer,
    find_city,
    load_cities,
    near_city,
)

CITIES = load_cities()
CONTINENTS = ("Africa", "Asia", "Europe", "North America", "Oceania", "South America")


def read_rows(file_name: str) -> list[dict[str, str]]:
    text = resources.files("metasae").joinpath("data", file_name).read_bytes().decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_table_is_large_sorted_and_loaded_once() -> None:
    assert len(CITIES) >= 200
    assert [city.name for city in CITIES] == sorted(city.name for city in CITIES)
    assert load_cities() is CITIES


def test_no_city_and_no_country_appears_twice() -> None:
    city_names = [row["city"].casefold() for row in read_rows("cities.csv")]
    country_names = [row["country"].casefold() for row in read_rows("countries.csv")]
    assert len(set(city_names)) == len(city_names) == len(CITIES)
    assert len(set(country_names)) == len(country_names)
    assert not set(city_names) & set(country_names)


def test_countries_and_cities_refer_to_each_other() -> None:
    listed = {row["country"] for row in read_rows("countries.csv")}
    assert {row["country"] for row in read_rows("cities.csv")} == listed


def test_every_cell_is_clean_and_the_required_ones_are_filled() -> None:
    optional = {"cities.csv": {"language", "note"}, "countries.csv": {"country_alternatives"}}
    for file_name, may_be_empty in optional.items():
        for row in read_rows(file_name):
            for column, value in row.items():
                assert value == " ".join(value.split()), (file_name, row, column)
                assert value or column in may_be_empty, (file_name, row, column)


def test_a_city_language_is_written_only_where_it_differs() -> None:
    usual = {row["country"]: row["language"] for row in read_rows("countries.csv")}
    for row in read_rows("cities.csv"):
        assert row["language"] != usual[row["country"]], row["city"]


def test_six_continents() -> None:
    assert distinct_answers("continent") == CONTINENTS


def test_many_countries_have_three_or_more_cities() -> None:
    count_by_country = Counter(city.country for city in CITIES)
    assert sum(count >= 3 for count in count_by_country.values()) >= 25


@pytest.mark.parametrize(
    "expected",
    [
        City("Tokyo", "Japan", "Japanese", "Asia", "yen"),
        City("Paris", "France", "French", "Europe", "euro"),
        City("Cairo", "Egypt", "Arabic", "Africa", "pound"),
        City("Montreal", "Canada", "French", "North America", "dollar"),
        City("Sofia", "Bulgaria", "Bulgarian", "Europe", "euro"),
    ],
    ids=lambda city: city.name,
)
def test_rows_known_by_hand(expected: City) -> None:
    assert find_city(expected.name) == expected


def test_answers_start_with_the_form_used_in_a_prompt() -> None:
    chicago = find_city("Chicago")
    assert chicago.answers("country")[:2] == ("the United States", "United States")
    assert {"USA", "America"} < set(chicago.answers("country"))
    assert find_city("Tokyo").answers("country")[0] == "Japan"
    assert find_city("Tokyo").answers("currency")[:3] == ("yen", "Yen", "Japanese yen")
    assert find_city("Geneva").answers("language") == ("French",)
    assert find_city("Lima").answers("continent") == ("South America",)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("tokyo", "Tokyo"),
        ("  NEW\t york ", "New York"),
        ("sao paulo", "São Paulo"),
        ("SÃO  PAULO", "São Paulo"),
        ("Bogotá", "Bogota"),
        ("dusseldorf", "Düsseldorf"),
        ("Xi’an", "Xi'an"),
    ],
)
def test_find_forgives_case_accents_and_spaces(typed: str, name: str) -> None:
    assert find_city(typed).name == name
    assert city_called(typed) is find_city(typed)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("Tokio", "Tokyo"),
        (" tokio", "Tokyo"),
        ("Rom", "Rome"),
        ("Tokyo", None),  # it is there
        ("hamster", None),  # three quarters of Amsterdam
        ("Ulm", None),
        ("", None),
        ("!", None),
    ],
)
def test_a_name_may_be_a_city_spelt_wrong(typed: str, near: str | None) -> None:
    assert near_city(typed) == near
    assert (city_called(typed) is None) is (typed != "Tokyo")


def test_every_answer_states_one_fact() -> None:
    for attribute in ATTRIBUTES:
        for city in CITIES:
            answer = city.answers(attribute)[0]
            assert facts_by_answer(attribute)[answer] == getattr(city, attribute)


def test_every_city_finds_itself() -> None:
    for city in CITIES:
        assert find_city(city.name) is city


def test_unknown_city_is_named_and_nearby_names_are_offered() -> None:
    with pytest.raises(UserError) as caught:
        find_city(" Tokio\n")
    message = str(caught.value)
    start = f'There is no city "Tokio" in the table of {len(CITIES)} cities; did you mean Tokyo'
    assert message.startswith(start)
    assert message.endswith("?")


def test_only_names_that_are_spelt_alike_are_offered() -> None:
    def offered(typed: str) -> list[str]:
        with pytest.raises(UserError) as caught:
            find_city(typed)
        return str(caught.value).split("did you mean ")[1].rstrip("?").split(" or ")

    assert offered("Tokio") == ["Tokyo"]
    # Letters in common: 10 of 11, 8 of 9, 8 of 11, 6 of 9, 6 of 10.
    assert offered("Berln") == ["Berlin, Bern, Bergen, Brno", "Basel"]


@pytest.mark.parametrize("typed", ["", "   ", "東京", "zzzz", "asdfghjk", "q" * 500])
def test_a_hopeless_name_is_like_no_city(typed: str) -> None:
    with pytest.raises(UserError, match=r"^There is no city .* none is spelt like it\.$") as caught:
        find_city(typed)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_accepted_forms_are_distinct_and_none_extends_another(attribute: str) -> None:
    for city in CITIES:
        forms = city.answers(attribute)
        assert all(form and form == form.strip() for form in forms), city.name
        assert len(set(forms)) == len(forms), city.name
        for form in forms:
            for longer in forms:
                assert not longer.casefold().startswith(form.casefold() + " "), (form, longer)


def test_no_country_answer_belongs_to_two_countries() -> None:
    owner: dict[str, str] = {}
    for city in CITIES:
        for form in city.answers("country"):
            assert owner.setdefault(form.casefold(), city.country) == city.country


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_distinct_answers_are_sorted_canonical_answers(attribute: str) -> None:
    found = distinct_answers(attribute)
    assert list(found) == sorted({city.answers(attribute)[0] for city in CITIES})


def test_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="mayor"):
        find_city("Tokyo").answers("mayor")
    with pytest.raises(ValueError, match="mayor"):
        distinct_answers("mayor")


def test_no_currency_answer_belongs_to_two_currencies() -> None:
    owner: dict[str, str] = {}
    for city in CITIES:
        for form in city.answers("currency"):
            # "US dollar" may serve two countries, but "lira" may not also mean the pound.
            assert owner.setdefault(form.casefold(), city.currency) == city.currency, form
