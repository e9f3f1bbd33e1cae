"""How the questions can be asked."""

import pytest

from metasae.text.cities import ATTRIBUTES, find_city
from metasae.text.prompts import (
    CANDIDATES,
    CITY,
    DEFAULT_WORDING,
    POST,
    QUESTIONS,
    REWORDED,
    WORDINGS,
    fill,
    wording_of,
)

EVERY = [one for ways in CANDIDATES.values() for one in ways] + list(REWORDED.values())


def test_the_posts_words_are_the_posts() -> None:
    assert POST == {
        "country": "{city} is a city in the country of",
        "language": "The primary language spoken in {city} is",
        "continent": "{city} is a city on the continent of",
        "currency": "The currency used in {city} is the",
    }
    assert all(ways[0] == POST[name] for name, ways in CANDIDATES.items())


def test_the_default_is_chosen_among_candidates_and_the_reworded_is_not() -> None:
    for attribute in ATTRIBUTES:
        assert QUESTIONS[attribute] in CANDIDATES[attribute]
        assert REWORDED[attribute] not in CANDIDATES[attribute]
        assert 4 <= len(set(CANDIDATES[attribute])) <= 6
    assert WORDINGS[DEFAULT_WORDING] == QUESTIONS != POST


@pytest.mark.parametrize("template", EVERY)
def test_a_question_names_the_city_once_and_is_left_open(template: str) -> None:
    assert template.count(CITY) == 1
    # The answer follows with a space of its own.
    assert template == template.strip() and template[-1].isalpha()


def test_a_wording_is_told_by_its_prompts() -> None:
    tokyo = find_city("Tokyo").name
    for name, asked in WORDINGS.items():
        prompts = {attribute: fill(text, tokyo) for attribute, text in asked.items()}
        assert wording_of(prompts, tokyo) == name
        prompts["country"] += " once"
        assert wording_of(prompts, tokyo) == DEFAULT_WORDING
    # Of questions a person wrote nothing is known.
    assert wording_of({"custom": "Tokyo is"}, tokyo) == DEFAULT_WORDING
    assert wording_of({}, tokyo) == DEFAULT_WORDING
