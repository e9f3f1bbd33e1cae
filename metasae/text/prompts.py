"""Prompts: how the four questions about a city can be asked, and contexts to find latents in.

None of them occurs in the training sentences, which have their own (`name_sentences`).
"""

from collections.abc import Mapping

from metasae.text.cities import ATTRIBUTES

CANDIDATES: dict[str, tuple[str, ...]] = {
    "country": (
        "{city} is a city in the country of",
        "{city} is located in the country of",
        "The city of {city} is in the country of",
        "{city} is one of the largest cities of",
        "The country to which {city} belongs is",
    ),
    "language": (
        "The primary language spoken in {city} is",
        "The official language of {city} is",
        "The language spoken by most people of {city} is",
        "In the streets of {city} you mostly hear people speak",
        "The native language of people from {city} is",
    ),
    "continent": (
        "{city} is a city on the continent of",
        "{city} is a city in the continent of",
        "The continent on which {city} lies is",
        "The city of {city} is part of the continent of",
        "{city} is located on the continent of",
    ),
    "currency": (
        "The currency used in {city} is the",
        "The official currency of {city} is the",
        "The local currency in {city} is called the",
        "In {city} the official unit of money is the",
        "Before you visit {city}, change your money into the",
    ),
}
"""Ways to ask about each attribute, the post's first; the model's next words answer."""

POST: dict[str, str] = {attribute: ways[0] for attribute, ways in CANDIDATES.items()}
"""The post's question for each attribute."""

QUESTIONS: dict[str, str] = {
    "country": "The city of {city} is in the country of",
    "language": "The official language of {city} is",
    "continent": "The city of {city} is part of the continent of",
    "currency": "The official currency of {city} is the",
}
"""What is asked by default.

For each attribute the candidate by which the embedded model gets the facts of most of the table's
252 cities right, of equals the one whose answer it writes itself most often. Measured by ``python
-m metasae wordings``: 203, 200, 198 and 205 facts, where the post's questions have 174, 196, 156
and 178 (docs/wordings.md).
"""

REWORDED: dict[str, str] = {
    "country": "If you travel to {city}, you are in",
    "language": "Almost everyone in {city} speaks",
    "continent": "On a globe you find {city} on the continent of",
    "currency": "Shops in {city} only take the",
}
"""The same four in words of which nothing was chosen: does an edit hold beyond its prompts?"""

DEFAULT_WORDING = "default"
"""Of what says nothing of a wording: an old link, a search without one."""

WORDINGS: dict[str, dict[str, str]] = {
    DEFAULT_WORDING: QUESTIONS,
    "post": POST,
    "reworded": REWORDED,
}
"""The sets of questions that can be asked, by name."""

assert tuple(CANDIDATES) == ATTRIBUTES
assert all(tuple(asked) == ATTRIBUTES for asked in WORDINGS.values())

NAME_CONTEXTS: tuple[str, ...] = (
    "They were talking about {name}",
    "The best known example is {name}",
    "She wrote her thesis on {name}",
    "Everything here reminds me of {name}",
    "Not everybody knows {name}",
    "In the end, {name}",
    "My first choice would be {name}",
    "The word on the blackboard was {name}",
    "Besides all the others there was {name}",
    "Topic of the day: {name}",
    "The encyclopedia has a long entry on {name}",
    "If it were not for {name}",
)
"""Contexts that end with a name of any kind, on which its latents are looked for.

None is a name alone: in a causal model that would be the very residual that training saw wherever a
text begins with the name.
"""


def in_contexts(name: str) -> list[str]:
    """A name in each of `NAME_CONTEXTS`."""
    return [template.replace("{name}", name) for template in NAME_CONTEXTS]


CITY = "{city}"
"""What stands for the city's name in a template."""


def fill(template: str, city: str) -> str:
    """The template with a city's name in place of `CITY`."""
    return template.replace(CITY, city)


def wording_of(prompts: Mapping[str, str], name: str) -> str:
    """Name of the wording in which prompts ask about somebody; the default if none fits.

    Args:
        prompts: attribute → the question's prompt.
    """
    for wording, asked in WORDINGS.items():
        if all(fill(asked.get(key, ""), name) == prompt for key, prompt in prompts.items()):
            return wording
    return DEFAULT_WORDING
