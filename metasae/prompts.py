"""Prompts about cities: the four questions, and the neutral contexts a city's latents are found in.

None of the texts here occurs in the training text (`corpus` writes its own sentences).
"""

from metasae.cities import ATTRIBUTES

QUESTIONS: dict[str, str] = {
    "country": "{city} is a city in the country of",
    "language": "The primary language spoken in {city} is",
    "continent": "{city} is a city on the continent of",
    "currency": "The currency used in {city} is the",
}
"""The post's question on each attribute; the model's next words answer it."""

assert tuple(QUESTIONS) == ATTRIBUTES

PLACES: tuple[str, ...] = (
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
"""Contexts that end with a city's name: where its latents are looked for."""

CITY = "{city}"


def fill(template: str, city: str) -> str:
    """The template with the city's name in it."""
    return template.replace(CITY, city)
