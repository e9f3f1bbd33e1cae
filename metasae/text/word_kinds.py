"""Kinds of words, as a reader names them: a city, a year, a preposition, words that begin with P….

Labels are made of words and kinds: words alone can't say what "Berlin", "Milan" and "Lima" have in
common. No kind is a single word, so the two can't be mistaken for each other.
"""

import re
from collections.abc import Sequence
from functools import cache

from metasae.text.cities import load_cities

_CLOSED = {
    "a preposition": "of in on at by for from with to into onto over under between among through "
    "during within without against across along behind beyond near since until upon via toward "
    "towards around above below before after",
    "a pronoun": "i you he she it we they me him her us them his hers its our their my your who "
    "whom whose himself herself itself themselves",
    "an article": "a an the",
    "a conjunction": "and or but nor while although because if whereas though unless",
    "an auxiliary verb": "is are was were be been being am has have had do does did will would can "
    "could shall should may might must",
    "a month": "january february march april may june july august september october november "
    "december",
    "a day of the week": "monday tuesday wednesday thursday friday saturday sunday",
    "a number in words": "one two three four five six seven eight nine ten eleven twelve twenty "
    "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion",
    "an ordinal": "first second third fourth fifth sixth seventh eighth ninth tenth",
    "a direction": "north south east west northern southern eastern western northeast northwest "
    "southeast southwest central",
}

_TYPICAL = {
    kind: frozenset(words.split())
    for kind, words in (
        ("French text", "le les des du et est une dans pour qui au aux sur par il elle sont ses"),
        ("Spanish text", "el los las del y es una que por con para su al se como fue son sus"),
    )
}

_FOREIGN = 2
"""Typical words among those before a token from which on the text counts as of that language."""

_INSIDE = "inside a word"

_LONGEST_NAME = 4
"""Most words of a name that is looked up."""

_ENDING = 3
"""Letters of an ending that is a kind."""


@cache
def _names() -> dict[str, frozenset[str]]:
    """Kinds of each name or word, by its lower-case form."""
    kinds_of: dict[str, set[str]] = {}

    def put(name: str, kind: str) -> None:
        kinds_of.setdefault(name.lower(), set()).add(kind)

    for city in load_cities():
        put(city.name, "a city")
        put(city.name, f"a city in {city.answers('country')[0]}")
        for country in city.answers("country"):
            put(country, "a country")
        put(city.language, "a language or people")
        put(city.continent, "a continent")
        for currency in city.answers("currency"):
            put(currency, "a currency")
    for kind, words in _CLOSED.items():
        for word in words.split():
            put(word, kind)
    return {name: frozenset(kinds) for name, kinds in kinds_of.items()}


def kinds(token: str, before: str, words: Sequence[str]) -> dict[str, float]:
    """The kinds of a token's word → weight as a label: 1, or less for a kind that says little.

    Args:
        token: the token's text.
        before: the text up to it.
        words: the words up to and including the one the token is part of.
    """
    lower = [word.lower() for word in words]
    weights = {
        kind: 1.0
        for kind, typical in _TYPICAL.items()
        if sum(word in typical for word in lower) >= _FOREIGN
    }
    bare = token.strip()
    if not any(map(str.isalnum, bare)):
        return weights | {
            f"“{bare}”" if bare else "a line break" if "\n" in token else "a space": 1.0
        }
    if not words:
        return weights
    word = words[-1]
    for count in range(1, _LONGEST_NAME + 1):
        weights |= dict.fromkeys(_names().get(" ".join(lower[-count:]), ()), 1.0)
    if word.isdecimal():
        year = len(word) == 4 and 1000 <= int(word) < 2100
        return weights | {"a year" if year else "a number": 1.0}
    if re.search(r"[^\W_]$", before) and not token[:1].isspace():
        # True of every second token of a rare name, so it says little.
        return weights | {_INSIDE: 0.25}
    if bare[0].isalpha():
        weights[f"{bare[0]}…"] = 1.0
    if len(word) >= _ENDING + 2 and word.isalpha():
        weights[f"…{lower[-1][-_ENDING:]}"] = 1.0
    return weights
