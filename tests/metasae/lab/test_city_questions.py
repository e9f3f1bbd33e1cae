"""The questions about two cities."""

from metasae.lab.lab import Lab
from metasae.text.cities import ATTRIBUTES
from metasae.text.prompts import QUESTIONS, fill


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
