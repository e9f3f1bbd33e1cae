"""The city table: which country, language, continent and currency belong to each known city.

The prompts and answers of the intervention studies come from here. The rows live in
``data/cities.csv`` and ``data/countries.csv``; a city takes its continent and currency from its
country, and its language too unless its own row says otherwise.

The facts were checked against GeoNames (https://www.geonames.org), licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). Where the table follows a fact newer than the
GeoNames copy it was checked with, such as Bulgaria's euro, the newer fact stands.
"""

from __future__ import annotations

import csv
import difflib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources

from metasae.errors import UserError

ATTRIBUTES: tuple[str, ...] = ("country", "language", "continent", "currency")
"""What the table says of each city."""

_MAX_QUOTED = 60

_NEAR = 0.8
"""Share of letters in common (difflib's ratio) from which one name may be meant for another."""

_ALIKE = 0.6
"""Share from which a name is offered among others in place of one that isn't there."""

_OFFERED = 5
"""Names that are offered at most."""


@dataclass(frozen=True)
class City:
    """One city and its four attributes, each a plain English name ("Japan", "yen")."""

    name: str
    country: str
    language: str
    continent: str
    currency: str

    def answers(self, attribute: str) -> tuple[str, ...]:
        """Every accepted answer for ``attribute``, the canonical one first.

        The forms carry no leading space and never repeat. A country comes as it follows "in the
        country of" ("the United States"), then plainly, then by its other names; a currency as
        the bare word, then its other forms; language and continent have one form each.

        Raises:
            ValueError: for a name outside `ATTRIBUTES`.
        """
        _check_attribute(attribute)
        if attribute == "country":
            row = _country_rows()[self.country]
            forms = [row["in_prompt"], self.country, *_split(row["country_alternatives"])]
        elif attribute == "currency":
            row = _country_rows()[self.country]
            forms = [self.currency, *_split(row["currency_alternatives"])]
        elif attribute == "language":
            forms = [self.language]
        else:
            forms = [self.continent]
        return tuple(dict.fromkeys(forms))


@cache
def load_cities() -> tuple[City, ...]:
    """Every city of the table, sorted by name; the files are read once."""
    countries = _country_rows()
    cities = []
    for row in read_rows("cities.csv"):
        country = countries[row["country"]]
        cities.append(
            City(
                name=row["city"],
                country=row["country"],
                language=row["language"] or country["language"],
                continent=country["continent"],
                currency=country["currency"],
            )
        )
    return tuple(sorted(cities, key=lambda city: city.name))


def city_in(name: str, country: str) -> City | None:
    """A city that is in no table, with the facts of its country; None for a country not in it."""
    row = _country_rows().get(country)
    if row is None:
        return None
    return City(name, country, row["language"], row["continent"], row["currency"])


def city_called(name: str) -> City | None:
    """The city called ``name``, whatever its case, accents, spaces and punctuation, if any."""
    return _cities_by_key().get(fold(name))


def near_city(name: str) -> str | None:
    """The city whose name is spelt nearly, but not quite, like ``name``, if any."""
    key = fold(name)
    near = difflib.get_close_matches(key, _cities_by_key(), n=1, cutoff=_NEAR)
    return None if not near or near[0] == key else _cities_by_key()[near[0]].name


def find_city(name: str) -> City:
    """The city `city_called` finds.

    Raises:
        UserError: when there is none, with the names that are spelt alike, if any are.
    """
    if city := city_called(name):
        return city
    by_key, key = _cities_by_key(), fold(name)
    close = difflib.get_close_matches(key, by_key, n=_OFFERED, cutoff=_ALIKE)
    offered = [by_key[match].name for match in close]
    quoted = " ".join(name.split())
    if len(quoted) > _MAX_QUOTED:
        quoted = quoted[:_MAX_QUOTED] + "…"
    missing = f'There is no city "{quoted}" in the table of {len(by_key)} cities'
    if not offered:
        raise UserError(f"{missing}, and none is spelt like it.")
    named = " or ".join(filter(None, (", ".join(offered[:-1]), offered[-1])))
    raise UserError(f"{missing}; did you mean {named}?")


@cache
def facts_by_answer(attribute: str) -> dict[str, str]:
    """Canonical answer for ``attribute`` → the fact it states, over all cities, sorted by answer.

    Raises:
        ValueError: for a name outside `ATTRIBUTES`.
    """
    _check_attribute(attribute)
    facts = {city.answers(attribute)[0]: str(getattr(city, attribute)) for city in load_cities()}
    return dict(sorted(facts.items()))


def distinct_answers(attribute: str) -> tuple[str, ...]:
    """The canonical answers for ``attribute`` over all cities, sorted, each once.

    Raises:
        ValueError: for a name outside `ATTRIBUTES`.
    """
    return tuple(facts_by_answer(attribute))


def _check_attribute(attribute: str) -> None:
    if attribute not in ATTRIBUTES:
        raise ValueError(f"a city has no attribute {attribute!r}, only {', '.join(ATTRIBUTES)}")


def _split(joined: str) -> list[str]:
    return joined.split("|") if joined else []


def fold(name: str) -> str:
    """The bare letters and digits of a name, so that "  são paulo" and "Sao Paulo" agree."""
    # NFKD sets an accent apart as a combining mark, which isalnum() then rejects.
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in decomposed if character.isalnum())


def read_rows(file_name: str) -> list[dict[str, str]]:
    """The rows of one of the package's CSV files."""
    path = resources.files("metasae").joinpath("data", file_name)
    # No cell of these files has a line break, so splitting at line ends is safe.
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@cache
def _country_rows() -> dict[str, dict[str, str]]:
    return {row["country"]: row for row in read_rows("countries.csv")}


@cache
def _cities_by_key() -> dict[str, City]:
    return {fold(city.name): city for city in load_cities()}
