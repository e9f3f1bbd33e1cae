"""Sentences that name names and say nothing of them."""

import re
from collections import Counter

import pytest

from metasae.text.cities import ATTRIBUTES, load_cities
from metasae.text.name_sentences import ENDINGS, OPENINGS, name_sentences
from metasae.text.prompts import NAME_CONTEXTS


def test_every_name_has_as_many_sentences_each_with_another_opening() -> None:
    names = ["Ulm", "hamster", "Marie Curie"]
    made = list(name_sentences("names", names, 6))
    assert made == list(name_sentences("names", names, 6))
    assert len(made) == 18 and {(one.source, one.held_out) for one in made} == {("names", False)}
    openings = [re.escape(one).replace(r"\{name\}", "{}").replace(r"\{other\}", ".+")
                for one in OPENINGS]  # fmt: skip
    for name, own in zip(names, (made[:6], made[6:12], made[12:]), strict=True):
        used = Counter(
            pattern
            for one in own
            for pattern in openings
            if re.match(pattern.format(re.escape(name)) + "(?=[.,? ])", one.text)
        )
        assert len(used) >= 6
        assert all(one.text.endswith(ENDINGS) for one in own)


def test_an_opening_ends_with_the_name() -> None:
    assert all(opening.endswith("{name}") for opening in OPENINGS)
    assert len(set(OPENINGS)) == len(OPENINGS)
    with pytest.raises(ValueError):
        list(name_sentences("names", ["Ulm"], len(OPENINGS) + 1))


def test_no_sentence_states_a_fact_or_a_context_that_latents_are_looked_for_in() -> None:
    (city,) = [one for one in load_cities() if one.name == "Tokyo"]
    text = " ".join(one.text for one in name_sentences("names", ["Tokyo"], len(OPENINGS)))
    for attribute in ATTRIBUTES:
        assert not any(answer in text for answer in city.answers(attribute))
    contexts = {re.sub(r"\{\w+\}", "", one).strip() for one in NAME_CONTEXTS}
    assert not contexts & {re.sub(r"\{\w+\}", "", one).strip() for one in OPENINGS}
