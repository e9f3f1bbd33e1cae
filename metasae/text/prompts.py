"""Prompts about cities: the four questions, and contexts in which a name's latents are looked for.

None of them occurs in the training sentences, which have their own (`name_sentences`).
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
    "They were talking about {city}",
    "The best known example is {city}",
    "She wrote her thesis on {city}",
    "A documentary about {city}",
    "All of a sudden he remembered {city}",
    "There is no better choice than {city}",
    "It all started with {city}",
    "Let me tell you something about {city}",
    "The last question of the quiz concerned {city}",
    "Our correspondent reports from {city}",
    "The primary language spoken in {city}",
    "Nothing compares to {city}",
)
"""Contexts that end with a name of any kind, on which its latents are looked for."""

CITY = "{city}"
"""What stands for the name in a template, a city's or any other."""


def fill(template: str, city: str) -> str:
    """The template with a city's name in place of `CITY`."""
    return template.replace(CITY, city)
