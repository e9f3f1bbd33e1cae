"""Prompts: the four questions about a city, and contexts in which a name's latents are looked for.

None of them occurs in the training text, which has its own (`city_sentences`).
"""

from metasae.text.cities import ATTRIBUTES

QUESTIONS: dict[str, str] = {
    "country": "{city} is a city in the country of",
    "language": "The primary language spoken in {city} is",
    "continent": "{city} is a city on the continent of",
    "currency": "The currency used in {city} is the",
}
"""The post's question for each attribute; the model's next words answer it."""

REWORDED: dict[str, str] = {
    "country": "If you travel to {city}, you are in",
    "language": "Almost everyone in {city} speaks",
    "continent": "On a globe you find {city} on the continent of",
    "currency": "Shops in {city} only take the",
}
"""The same four in other words, to see whether an edit holds beyond the post's prompts."""

WORDINGS: dict[str, dict[str, str]] = {"post": QUESTIONS, "reworded": REWORDED}
"""The sets of questions a search can ask, by name."""

assert tuple(QUESTIONS) == tuple(REWORDED) == ATTRIBUTES

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
