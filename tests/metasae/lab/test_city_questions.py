"""The questions about two cities or other names, and the contexts names are looked for in."""

from dataclasses import replace

import pytest

from metasae.lab.city_questions import BYSTANDER, fired_on
from metasae.lab.lab import Lab
from metasae.text.cities import ATTRIBUTES
from metasae.text.name_sentences import OPENINGS
from metasae.text.prompts import NAME_CONTEXTS, QUESTIONS, fill, in_contexts
from tests.builders import city_record


def test_the_questions_are_the_four_attributes(lab: Lab) -> None:
    found = lab.questions(lab.subject("Tokyo"), lab.subject("Paris"))
    assert [question.attribute for question in found] == list(ATTRIBUTES)
    for question in found:
        assert question.prompt == fill(QUESTIONS[question.attribute], "Tokyo")
        cities = [name for one in question.answers for name in one.cities]
        assert sorted(cities) == ["Cairo", "Paris", "Tokyo"]
        for one in question.answers:
            assert one.text == lab.records[one.cities[0]].answers[question.attribute]


def test_cities_with_the_same_fact_share_an_answer(lab: Lab) -> None:
    found = lab.questions(lab.subject("Paris"), lab.subject("Rome"))
    by_attribute = {question.attribute: question.answers for question in found}
    assert [one.city for one in by_attribute["currency"]] == ["Paris, Rome", "Cairo"]
    assert [one.city for one in by_attribute["country"]] == ["Paris", "Rome", "Cairo"]


def test_the_bystander_may_be_one_of_the_two(lab: Lab) -> None:
    for question in lab.questions(lab.subject("Cairo"), lab.subject("Tokyo")):
        cities = [name for one in question.answers for name in one.cities]
        assert sorted(cities) == ["Cairo", "Tokyo"]


def test_a_name_without_facts_has_the_models_own_answers(small_lab: Lab) -> None:
    stranger = small_lab.subject("Old Tokyo")
    told = small_lab.names.answers("Old Tokyo")
    paris = small_lab.records["Paris"].told
    for source, target, about in (
        (stranger, small_lab.subject("Paris"), "Old Tokyo"),
        (small_lab.subject("Paris"), stranger, "Paris"),
    ):
        for question in small_lab.questions(source, target):
            kind = question.attribute
            assert question.prompt == fill(QUESTIONS[kind], about)
            whose = {name: one.text for one in question.answers for name in one.cities}
            assert set(whose) == {"Old Tokyo", "Paris", BYSTANDER}
            same = told[kind].fact == paris[kind].fact
            assert same or whose["Old Tokyo"] == told[kind].text
            assert (whose["Old Tokyo"] == whose["Paris"]) is same


def test_a_bystander_may_be_any_name(small_lab: Lab) -> None:
    pair = small_lab.subject("Tokyo"), small_lab.subject("Paris")
    for question in small_lab.questions(*pair, bystander="Old Tokyo"):
        assert "Old Tokyo" in {name for one in question.answers for name in one.cities}


def test_contexts_end_with_the_name_and_training_has_none_of_them() -> None:
    filled = in_contexts("Xanadu")
    assert len(set(filled)) == len(NAME_CONTEXTS) == 12
    assert all(one.endswith(" Xanadu") and one.count("Xanadu") == 1 for one in filled)
    trained = {one.format(other="Rome", name="Xanadu") for one in OPENINGS}
    assert not trained & set(filled) and "Xanadu" not in filled
    # Nothing in them but the name is a name.
    assert not any(word[0].isupper() for one in filled for word in one.split()[1:-1])


@pytest.mark.parametrize("name", ["{name}", "{city}", "50% {x}", "\\1"])
def test_a_name_is_put_in_as_it_is(name: str) -> None:
    assert all(one.endswith(f" {name}") for one in in_contexts(name))


def test_latents_are_asked_about_a_city_only_where_it_is_theirs() -> None:
    """Latent 1 is Rome's own; 2 is active on Oslo's name without being its own; 3 on none."""
    rome, oslo = city_record("Rome", "Italy", 1), city_record("Oslo", "Norway", 2)
    shared = replace(oslo, latents=(replace(oslo.latents[0], own=False),))
    records = {"Rome": rome, "Oslo": shared}
    words = {1: ("pasta",), 2: ("fjord", "Oslo"), 3: ("Oslo",)}

    def asked(*latents: int) -> str:
        return fired_on(records, latents, lambda latent: words.get(latent, ()))

    assert asked(1) == "Rome"
    assert asked(2) == "fjord"
    assert asked(3) == "Oslo" == asked(2, 3)
    assert asked(2, 1) == "Rome"
    assert asked(4) == ""
    # Where no words are known the name stands for what it fires on.
    assert fired_on(records, (2,), lambda latent: ()) == "Oslo"
