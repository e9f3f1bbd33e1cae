"""Questions and the row their answers' scores stand in."""

import pytest
import torch

from metasae.steering.questions import CUSTOM, Answer, Question, Questions, Subject, remarks

COUNTRY = Question(
    "country", "Tokyo is in", (Answer(("Tokyo", "Osaka"), "Japan"), Answer(("Paris",), "France"))
)
CURRENCY = Question("currency", "Tokyo pays in", (Answer((), "gold"),))
LANGUAGE = Question(
    "language",
    "Tokyo speaks",
    tuple(Answer((city,), city) for city in ("Tokyo", "New York", "Paris")),
)
ASKED = Questions((COUNTRY, CURRENCY, LANGUAGE))


def test_questions_are_a_sequence() -> None:
    assert len(ASKED) == 3 and list(ASKED) == [COUNTRY, CURRENCY, LANGUAGE]
    assert ASKED[1] is CURRENCY and ASKED[-1] is LANGUAGE
    assert ASKED[:2] == (COUNTRY, CURRENCY)
    assert CURRENCY in ASKED
    assert ASKED.attributes == ("country", "currency", "language")


def test_answers_stand_in_the_questions_order() -> None:
    assert [(question.attribute, answer.text) for question, answer in ASKED.answers] == [
        ("country", "Japan"), ("country", "France"), ("currency", "gold"),
        ("language", "Tokyo"), ("language", "New York"), ("language", "Paris"),
    ]  # fmt: skip
    assert ASKED.slices == (slice(0, 2), slice(2, 3), slice(3, 6))


@pytest.mark.parametrize("shape", [(6,), (2, 6), (3, 2, 6)])
def test_scores_are_split_along_their_last_axis(shape: tuple[int, ...]) -> None:
    scores = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    parts = ASKED.split(scores)
    assert [part.shape for part in parts] == [(*shape[:-1], count) for count in (2, 1, 3)]
    assert torch.equal(torch.cat(parts, dim=-1), scores)


def test_an_answer_belongs_to_each_of_its_cities_by_its_whole_name() -> None:
    assert ASKED.belonging_to("Tokyo").tolist() == [True, False, False, True, False, False]
    assert ASKED.belonging_to("Osaka").tolist() == [True] + [False] * 5
    assert ASKED.belonging_to("York").tolist() == [False] * 6
    # An answer a person typed is nobody's.
    assert ASKED.belonging_to("").tolist() == [False] * 6


def test_no_questions_have_no_answers() -> None:
    none = Questions(())
    assert (len(none), none.answers, none.slices, none.split(torch.zeros(0))) == (0, (), (), ())


def test_a_question_as_values() -> None:
    assert COUNTRY.to_dict() == {
        "attribute": "country",
        "prompt": "Tokyo is in",
        "answers": [
            {"city": "Tokyo, Osaka", "text": "Japan"}, {"city": "Paris", "text": "France"},
        ],
    }  # fmt: skip
    assert CURRENCY.to_dict()["answers"] == [{"city": "", "text": "gold"}]


def test_a_subject_is_asked_about_its_name() -> None:
    assert Subject("Tokyo", "Tokyo", (1,), (2.0,)).about == "Tokyo"
    assert Subject("Tokyo", "Tokyo", (1,), (2.0,), about="Paris").about == "Tokyo"
    assert Subject("#1", None, (1,), (2.0,), about="Paris").about == "Paris"
    assert Subject("#1", None, (1,), (2.0,)).about == ""


def test_what_has_to_be_said_of_a_pair() -> None:
    own = Question(CUSTOM, "Tokyo is", (Answer((), "big"),))
    tokyo = Subject("Tokyo", "Tokyo", (1,), (2.0,), remarks=("It shares.",))
    ulm = Subject("Ulm", "Ulm", (3,), (2.0,), facts=False, remarks=("Did you mean Lyon?",))
    bare = "No facts are known for Ulm: the answers that stand for it are the model's own."
    assert remarks(tokyo, tokyo, [COUNTRY]) == ("It shares.", "It shares.")
    assert remarks(tokyo, ulm, [own]) == ("It shares.", "Did you mean Lyon?")
    for asked in ([COUNTRY], [COUNTRY, own]):
        assert remarks(ulm, tokyo, asked) == ("Did you mean Lyon?", "It shares.", bare)


def test_a_swap_exchanges_what_is_active_beside_the_latents_that_are_edited() -> None:
    subject = Subject("Rome", "Rome", (3,), (5.0,), active=((3, 4.0), (7, 2.0)))
    assert subject.swapped == {3: 5.0, 7: 2.0}
    assert Subject("#3", None, (3,), (5.0,)).swapped == {3: 5.0}
