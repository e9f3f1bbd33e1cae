"""Prompts about cities: the four questions, and contexts in which a city's latents are looked for.

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
    "The currency used in {city}",
    "The primary language spoken in {city}",
    "My sister has been living in {city}",
    "We spent three rainy days in {city}",
    "The conference will be held in {city}",
    "He grew up on the outskirts of {city}",
    "A new museum has opened in {city}",
    "The best restaurants of {city}",
    "Last winter they drove all the way to {city}",
    "The film was shot in {city}",
    "There is heavy traffic around {city}",
    "Hotels near the old centre of {city}",
)
"""Contexts that end with a city's name, on which its latents are looked for."""

CITY = "{city}"
"""What stands for the city's name in a template."""


def fill(template: str, city: str) -> str:
    """The template with a city's name in place of `CITY`."""
    return template.replace(CITY, city)
