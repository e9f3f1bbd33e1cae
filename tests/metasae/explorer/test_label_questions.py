"""What is asked: markers, controls, the intruder's place, and which answers are answers."""

import pytest

from metasae.explorer.label_questions import (
    DETECTION,
    FUZZING,
    INTRUDER,
    KINDS,
    LabelQuestion,
    questions_of,
)
from metasae.explorer.score_examples import Sampling
from tests.metasae.explorer.scored_text import material

SAMPLING = Sampling(20, 5, 5)


def questions(kind: str, other: str = "osaka") -> list[LabelQuestion]:
    examples = material().examples(SAMPLING)[0]
    return list(questions_of(0, "tokyo", other, examples, SAMPLING, [kind]))


@pytest.mark.parametrize("kind", [DETECTION, FUZZING])
def test_the_control_is_asked_about_the_same_pieces(kind: str) -> None:
    every = questions(kind)
    own = [one for one in every if not one.control]
    control = [one for one in every if one.control]
    assert len(own) == len(control) == 8
    assert [one.texts for one in own] == [one.texts for one in control]
    assert {one.lines[0] for one in own} == {"Description: tokyo"}
    assert {one.lines[0] for one in control} == {"Description: osaka"}
    assert not any(one.control for one in questions(kind, other=""))
    # Shuffled: no question holds pieces of one sort alone in all of them.
    assert any(len({piece.activating for piece in one.examples}) == 2 for one in own)


def test_marks_tell_nothing_but_where() -> None:
    for one in questions(FUZZING):
        assert all(text.count("<<") == text.count(">>") == 1 for text in one.texts)
        for piece, text in zip(one.examples, one.texts, strict=True):
            assert ("<< tokyo>>" in text or text.startswith("<<tokyo")) == piece.activating
    assert not any("<<" in text for one in questions(DETECTION) for text in one.texts)


def test_an_intruder_stands_among_pieces_of_one_quantile() -> None:
    every = questions(INTRUDER)
    assert len(every) == 20 and not any(one.label for one in every)
    for number, one in enumerate(every):
        others = [piece for piece in one.examples if piece.activating]
        assert len(others) == 4 and {piece.distance for piece in others} == {float(number % 5)}
        assert not one.examples[one.intruder].activating
    assert len({one.intruder for one in every}) == 5
    assert len({one.examples[one.intruder] for one in every}) == 20


def test_the_same_is_asked_again() -> None:
    assert all(questions(kind) == questions(kind) for kind in KINDS)


def test_answers_are_read_and_nothing_else_is_one() -> None:
    judged, intruder = questions(DETECTION)[0], questions(INTRUDER)[0]
    assert judged.read("Here: [1, 0,1,0,0].") == (1, 0, 1, 0, 0)
    assert judged.read("[true, false, true, true, false]") == (1, 0, 1, 1, 0)
    for text in (
        "",
        "[1, 0]",
        "[1, 0, 1, 0, 2]",
        "1, 0, 1, 0, 0",
        "[a, b]",
        '["1","0","1","0","0"]',
    ):
        with pytest.raises(ValueError):
            judged.read(text)
    assert intruder.read("Piece 3.") == (3,)
    for text in ("", "none", "9"):
        with pytest.raises(ValueError):
            intruder.read(text)
