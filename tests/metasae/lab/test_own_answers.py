"""What a model itself answers about a name: by hand, and by full passes over every answer."""

from collections.abc import Mapping
from typing import Any

import pytest

from metasae.lab import city_table
from metasae.lab.city_records import Told
from metasae.lab.own_answers import own_answers
from metasae.lm.language_model import LanguageModel
from metasae.text.cities import ATTRIBUTES, distinct_answers, facts_by_answer
from metasae.text.prompts import QUESTIONS, fill
from tests.metasae.lab.word_model import Asked, Words
from tests.oracle import answer_logprobs


def told(
    monkeypatch: pytest.MonkeyPatch, first: dict[str, float], whole: dict[str, float]
) -> tuple[Mapping[str, Told], set[str]]:
    """What is made of it, and which answers were scored."""
    monkeypatch.setattr(city_table, "PromptSet", Asked)
    model: Any = Words(first, whole)
    found = own_answers(model, "Ulm")
    return found, {text for _, (text,) in model.asked}


def test_the_likeliest_whole_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"Germany": -2.0, "German": -1.0, "Europe": -1.0, "euro": -3.0}
    found, _ = told(monkeypatch, whole, whole)
    assert found == {
        "country": Told("Germany", "Germany"), "language": Told("German", "German"),
        "continent": Told("Europe", "Europe"), "currency": Told("euro", "euro"),
    }  # fmt: skip


def test_an_answer_states_its_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = told(monkeypatch, {"the": -1.0}, {"the United States": -1.5})
    assert found["country"] == Told("United States", "the United States")


def test_a_likely_beginning_is_no_likely_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    # The three likeliest first tokens lead to nothing; what begins likelier than the best of their
    # answers is scored, and nothing else.
    first = {"Japan": -1.0, "France": -1.1, "Egypt": -1.2, "Peru": -4.0, "Ghana": -6.0}
    whole = {"Japan": -5.0, "France": -9.0, "Egypt": -9.0, "Peru": -4.5, "Ghana": -6.0}
    found, scored = told(monkeypatch, first, whole)
    assert found["country"] == Told("Peru", "Peru")
    assert "Ghana" not in scored and "Peru" in scored


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Tokyo", "hamster"])
def test_full_passes_over_every_answer_find_the_same(small_model: LanguageModel, name: str) -> None:
    found = own_answers(small_model, name)
    assert tuple(found) == ATTRIBUTES
    for attribute in ATTRIBUTES:
        texts = distinct_answers(attribute)
        scores = answer_logprobs(small_model, fill(QUESTIONS[attribute], name), texts)
        best = texts[int(scores.argmax())]
        assert found[attribute] == Told(facts_by_answer(attribute)[best], best)
