"""What an edit did, from made-up scores: tables, words and files by hand."""

from dataclasses import replace
from typing import Any

import torch

from metasae.steering.edit_space import Piece
from metasae.steering.edits import LatentSwap
from metasae.steering.outcome import UNITS, Outcome
from metasae.steering.own_words import OwnTokens
from metasae.steering.provenance import Provenance
from metasae.steering.questions import CUSTOM, Answer, Question, Questions, Subject

ROME = Subject("Rome", "Rome", (3, 4), (1.0, 2.0))
OSLO = Subject("Oslo", "Oslo", (5,), (1.5,))

ASKED = Questions(
    (
        Question(
            "country", "Rome is in", (Answer(("Rome",), "Italy"), Answer(("Oslo",), "Norway"))
        ),
        Question(
            "language",
            "They speak",
            (
                Answer(("Rome",), "Italian"),
                Answer(("Oslo", "Bergen"), "Norwegian"),
                Answer(("Cairo",), "Arabic"),
            ),
        ),
    )
)

BEFORE = (-1.0, -2.0, -0.5, -3.0, -4.0)
AFTER = (-2.5, -0.25, -0.75, -1.0, -4.5)
"""The country moves to Norway, the language stays Italian."""


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "source": ROME,
        "target": OSLO,
        "questions": ASKED,
        "pieces": (Piece(1, "source", 0.5, 0.0),),
        "edit": LatentSwap(),
        "baseline": torch.tensor(BEFORE),
        "logprobs": torch.tensor(AFTER),
        "top_before": [[(" Italy", -0.5), (" a", -1.5)], [(" Italian", -0.25)]],
        "top_after": [[(" Norway", -0.125)], [(" Italian", -0.75), (" the", -2.0)]],
        "top_baseline": torch.tensor([-3.0, -0.25]),
        "tokens_before": OwnTokens(torch.tensor([1, 2]), torch.tensor([1, 0, 1, 0, 0]) > 0),
        "tokens_after": OwnTokens(torch.tensor([3, 2]), torch.tensor([0, 1, 1, 0, 0]) > 0),
        "marked": (("", "Rome", " is in"), ("They speak", "", "")),
        "provenance": Provenance("p", "m", "h", "s", "t", "v"),
    }
    return Outcome(**(values | changes))


def test_which_answers_lead() -> None:
    made = outcome()
    assert [one.text for one in made.leading_before] == ["Italy", "Italian"]
    assert [one.text for one in made.leading_after] == ["Norway", "Italian"]
    assert made.moved == {"country": True, "language": False}
    back = outcome(baseline=torch.tensor(AFTER), logprobs=torch.tensor(BEFORE))
    assert [one.text for one in back.leading_after] == ["Italy", "Italian"]
    assert back.moved == {"country": False, "language": False}


def test_the_table_of_answers() -> None:
    rows = outcome().answers.to_dict("records")
    assert [row["attribute"] for row in rows] == ["country"] * 2 + ["language"] * 3
    assert [row["prompt"] for row in rows] == ["Rome is in"] * 2 + ["They speak"] * 3
    assert [row["city"] for row in rows] == ["Rome", "Oslo", "Rome", "Oslo, Bergen", "Cairo"]
    assert [row["answer"] for row in rows] == ["Italy", "Norway", "Italian", "Norwegian", "Arabic"]
    assert tuple(row["baseline"] for row in rows) == BEFORE
    assert tuple(row["logprob"] for row in rows) == AFTER
    assert [row["change"] for row in rows] == [-1.5, 1.75, -0.25, 2.0, -0.5]
    assert [row["best_before"] for row in rows] == [True, False, True, False, False]
    assert [row["best_after"] for row in rows] == [False, True, True, False, False]


def test_what_the_model_itself_says_is_its_likeliest_token_where_it_writes_no_answer() -> None:
    none = OwnTokens(torch.tensor([9, 9]), torch.zeros(5) > 0)
    after = outcome(tokens_after=none, top_after=[[(" a", -0.1)], [(" the", -0.2)]]).own_after
    assert [(one.text, one.answer, one.logprob, one.baseline) for one in after] == [
        ("a", False, -0.1, -3.0), ("the", False, -0.2, -0.25)
    ]  # fmt: skip
    table = outcome().asked
    assert table["own"].tolist() == ["Norway", "Italian"] and table["own_answer"].all()
    assert table["edited"].tolist() == ["Rome", ""]


def test_the_table_of_next_tokens() -> None:
    rows = outcome().top_tokens.to_dict("records")
    assert [tuple(row.values()) for row in rows] == [
        ("country", "Rome is in", "before", 1, " Italy", -0.5),
        ("country", "Rome is in", "before", 2, " a", -1.5),
        ("language", "They speak", "before", 1, " Italian", -0.25),
        ("country", "Rome is in", "after", 1, " Norway", -0.125),
        ("language", "They speak", "after", 1, " Italian", -0.75),
        ("language", "They speak", "after", 2, " the", -2.0),
    ]


def test_what_files_hold() -> None:
    values = outcome().to_dict()
    country, language = values["attributes"]
    assert country == {
        "attribute": "country",
        "prompt": "Rome is in",
        "answers": [
            {"city": "Rome", "answer": "Italy", "logprob": -2.5, "baseline": -1.0},
            {"city": "Oslo", "answer": "Norway", "logprob": -0.25, "baseline": -2.0},
        ],
        "moved": True,
        "own_before": {"text": "Italy", "logprob": -1.0, "baseline": -1.0, "answer": True},
        "own": {"text": "Norway", "logprob": -0.25, "baseline": -2.0, "answer": True},
    }
    assert [one["logprob"] for one in language["answers"]] == [-0.75, -1.0, -4.5]
    assert [one["baseline"] for one in language["answers"]] == [-0.5, -3.0, -4.0]
    assert language["moved"] is False
    assert values["sentence"] == "Rome is now in Norway; it still speaks Italian."
    assert values["source"] == {"label": "Rome", "latents": [3, 4]}
    assert values["target"] == {"label": "Oslo", "latents": [5]}
    assert (values["asked_about"], values["remarks"]) == ("Rome", [])
    assert values["edit"] == LatentSwap().to_dict() and values["units"] == UNITS
    provenance = {"preset": "p", "model": "m", "hook": "h", "sae": "s", "meta_sae": "t"}
    assert values.items() >= (provenance | {"version": "v"}).items()


def test_what_numbers_are_asked_about_is_said() -> None:
    one = Subject("#3", None, (3,), (1.0,), about="Cairo")
    assert outcome(source=one).why_asked == (
        "#3 is no city: asked about Cairo, on whose name it is most active."
    )
    several = replace(one, label="#3, #4", latents=(3, 4), activations=(1.0, 1.0))
    assert outcome(source=several).why_asked == (
        "#3, #4 are no city: asked about Cairo, on whose name one of them is most active."
    )
    word = replace(one, about="tea")
    assert outcome(source=word).why_asked == (
        "#3 is no city: asked about “tea”, the word it is most active on."
    )
    said = replace(word, remarks=("It flickers.",))
    assert outcome(source=said).remarks == (outcome(source=word).why_asked, "It flickers.")
    assert outcome(source=replace(one, about="")).why_asked == "" == outcome().why_asked
    assert outcome(source=replace(ROME, remarks=("So it is.",))).remarks == ("So it is.",)


def test_a_question_of_ones_own_is_about_nobody() -> None:
    own = Questions(
        (Question(CUSTOM, "The tower is in", (Answer((), "Paris"), Answer((), "Rome"))),)
    )
    scores: dict[str, Any] = {
        "baseline": torch.tensor([0.0, -1.0]), "logprobs": torch.tensor([-1.0, 0.0])
    }  # fmt: skip
    number = Subject("#3", None, (3,), (1.0,), about="tea")
    asked = outcome(source=number, questions=own, **scores)
    assert asked.asked_about == asked.why_asked == ""
    assert outcome(questions=own, **scores).asked_about == "Rome"
    # Beside other questions it is one of them.
    both = Questions((*own, *ASKED))
    assert outcome(source=number, questions=both).asked_about == "tea"
