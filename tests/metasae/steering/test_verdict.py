"""Which answer leads: by hand, and against a count with plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from metasae.steering.own_words import OwnTokens
from metasae.steering.questions import Answer, Question, Questions
from metasae.steering.verdict import (
    OTHER,
    leading,
    pattern_bits,
    pattern_code,
    pattern_name,
    pattern_text,
    verdict,
)


def questions(*asked: tuple[str, ...]) -> Questions:
    """A question an entry, an answer a city; "a+b" is an answer of both."""
    return Questions(
        tuple(
            Question(f"q{number}", "", tuple(Answer(tuple(c.split("+")), c) for c in cities))
            for number, cities in enumerate(asked)
        )
    )


def test_leading_by_hand() -> None:
    scores = torch.tensor([[-1.0, -3.0, -1.5], [-4.0, -2.0, -2.0], [-9.0, -8.0, -0.5]])
    first, lead = leading(scores)
    # Of equals the first, by nothing.
    assert first.tolist() == [0, 1, 2] and lead.tolist() == [0.5, 0.0, 7.5]
    only, by = leading(torch.tensor([[-2.0], [-5.0]]))
    assert only.tolist() == [0, 0] and by.tolist() == [math.inf, math.inf]
    place, nats = leading(torch.tensor([-3.0, -1.0]))
    assert (int(place), float(nats)) == (1, 2.0)


@given(st.lists(st.booleans(), max_size=6))
def test_a_pattern_is_the_same_in_all_its_forms(moved: list[bool]) -> None:
    code = pattern_code(moved)
    assert pattern_bits(code, len(moved)) == tuple(moved)
    assert pattern_code(one == "1" for one in pattern_text(moved)) == code


def test_the_forms_of_a_pattern_by_hand() -> None:
    assert pattern_code([True, True, False]) == pattern_code((1, 1, 0)) == 3
    assert pattern_bits(4, 3) == (False, False, True)
    assert pattern_text([True, False, False]) == "100"


def test_a_verdict_by_hand() -> None:
    asked = questions(("Rome", "Tokyo", "Cairo"), ("Rome+Tokyo", "Cairo"), ("Tokyo", "Rome"))
    before = torch.tensor([-1.0, -2.0, -3.0, -1.0, -2.0, -0.5, -4.0])
    after = torch.tensor(
        [
            [-1.0, -2.0, -3.0, -1.0, -2.0, -0.5, -4.0],  # nothing moved
            [-2.0, -1.0, -4.0, -1.0, -1.5, -0.5, -4.0],  # the first moved to Tokyo
            [-2.0, -3.0, -1.0, -1.0, -2.0, -0.5, -4.0],  # strayed: Cairo leads the first
            [-2.0, -1.0, -4.0, -2.0, -1.0, -0.5, -4.0],  # moved, but strayed in the second
            [-1.0, -2.0, -3.0, -1.0, -2.0, -4.0, -0.5],  # off the target's answer that led before
            [math.nan] * 7,  # nothing was left of a direction
        ]
    )
    judged = verdict(asked, before, after, "Tokyo")
    assert judged.before.tolist() == [0, 0, 0]
    assert judged.after[:5].tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert judged.moved[:5].tolist() == [
        [False] * 3, [True, False, False], [False] * 3, [True, False, False], [False] * 3,
    ]  # fmt: skip
    assert judged.unscored.tolist() == [False] * 5 + [True]
    assert judged.pattern.tolist() == [0, 1, OTHER, OTHER, OTHER, OTHER]
    assert judged.lead[1].tolist() == [1.0, 0.5, 3.5]
    assert judged.margin[:2].tolist() == [1.0, 0.5]


def test_a_strict_verdict_by_hand() -> None:
    """One question of Rome's, Tokyo's and Cairo's answer; the unedited model says Rome's."""
    asked = questions(("Rome", "Tokyo", "Cairo"))
    before = torch.tensor([-1.0, -2.0, -3.0])
    tokyo, rome, cairo = [-2.0, -1.0, -3.0], [-1.0, -2.0, -3.0], [-3.0, -2.0, -1.0]
    # What leads; the model's own next token; which answers it writes by itself; the pattern.
    cases = [
        (rome, 10, (True, False, False), 0),  # as it was
        (tokyo, 11, (False, True, False), 1),  # Tokyo's leads, and the model says it
        (tokyo, 99, (False, False, False), OTHER),  # it leads, but the model says something else
        (tokyo, 10, (True, False, False), OTHER),  # it leads, but the model says Rome's first token
        (rome, 99, (False, False, False), OTHER),  # Rome's still leads, but nobody says it now
        (cairo, 12, (False, False, True), OTHER),  # a third one's
    ]
    scores, tops, says, patterns = zip(*cases, strict=True)
    own = OwnTokens(torch.tensor(tops)[:, None], torch.tensor(says))
    unedited = OwnTokens(torch.tensor([10]), torch.tensor([True, False, False]))
    judged = verdict(asked, before, torch.tensor(scores), "Tokyo", (unedited, own))
    assert judged.pattern.tolist() == list(patterns)
    usual = verdict(asked, before, torch.tensor(scores), "Tokyo")
    assert usual.pattern.tolist() == [0, 1, 1, 1, 0, OTHER]
    assert judged.margin.tolist() == usual.margin.tolist() == [1.0] * 6


def test_what_the_model_did_not_say_stays_where_it_says_the_same_as_before() -> None:
    asked = questions(("Rome", "Tokyo"))
    before = torch.tensor([-1.0, -2.0])
    unedited = OwnTokens(torch.tensor([99]), torch.tensor([False, False]))
    own = OwnTokens(
        torch.tensor([[99], [98], [10]]),
        torch.tensor([[False, False], [False, False], [True, False]]),
    )
    judged = verdict(asked, before, before.expand(3, -1), "Tokyo", (unedited, own))
    assert judged.pattern.tolist() == [0, OTHER, OTHER]


def test_a_pattern_has_a_bit_for_each_attribute_the_first_lowest() -> None:
    asked = questions(("a", "b"), ("a", "b"), ("a", "b"))
    assert pattern_name(asked, 0b110) == {"q0": False, "q1": True, "q2": True}
    assert pattern_name(asked, 0) == {"q0": False, "q1": False, "q2": False}


CITIES = st.sampled_from(["source", "target", "other", "source+target"])
ASKED = st.lists(st.lists(CITIES, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4)


@st.composite
def judgements(draw: Any) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """Questions, the scores before, and those after some edits; many of them equal."""
    asked = draw(ASKED)
    answers = sum(map(len, asked))
    nats = st.integers(-4, 0).map(float)
    before = draw(npst.arrays(np.float32, answers, elements=nats))
    edits = draw(st.integers(1, 4))
    after = draw(npst.arrays(np.float32, (edits, answers), elements=nats | st.just(math.nan)))
    return asked, before, after


@given(judgements())
def test_a_verdict_is_what_plain_loops_find(
    drawn: tuple[list[tuple[str, ...]], np.ndarray, np.ndarray],
) -> None:
    asked, before, after = drawn
    judged = verdict(questions(*asked), torch.from_numpy(before), torch.from_numpy(after), "target")
    for number, scores in enumerate(after):
        if np.isnan(scores).any():
            assert judged.unscored[number] and judged.pattern[number] == OTHER
            continue
        code, strayed, margin, begin = 0, False, math.inf, 0
        for question, cities in enumerate(asked):
            old, new = before[begin : begin + len(cities)], scores[begin : begin + len(cities)]
            begin += len(cities)
            led, leads = int(np.argmax(old)), int(np.argmax(new))
            rivals = [value for place, value in enumerate(new) if place != leads]
            lead = new[leads] - max(rivals, default=-math.inf)
            moved = leads != led and "target" in cities[leads]
            assert judged.before[question] == led and judged.after[number, question] == leads
            assert judged.lead[number, question] == pytest.approx(lead)
            assert bool(judged.moved[number, question]) == moved
            code |= moved << question
            strayed |= leads != led and not moved
            margin = min(margin, lead)
        assert judged.pattern[number] == (OTHER if strayed else code)
        assert judged.margin[number] == pytest.approx(margin)


@st.composite
def own_of(draw: Any, edits: int, asked: int, answers: int) -> OwnTokens:
    """What a model of few tokens goes on with under some edits."""
    top = draw(npst.arrays(np.int64, (edits, asked), elements=st.integers(0, 2)))
    says = draw(npst.arrays(np.bool_, (edits, answers)))
    return OwnTokens(torch.from_numpy(top), torch.from_numpy(says))


@given(judgements(), st.data())
def test_a_strict_verdict_is_what_plain_loops_find(
    drawn: tuple[list[tuple[str, ...]], np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    asked, before, after = drawn
    answers = sum(map(len, asked))
    both = data.draw(own_of(1 + len(after), len(asked), answers))
    unedited = OwnTokens(both.top[0], both.says[0])
    own = OwnTokens(both.top[1:], both.says[1:])
    judged = verdict(
        questions(*asked), torch.from_numpy(before), torch.from_numpy(after), "target",
        (unedited, own),
    )  # fmt: skip
    for number, scores in enumerate(after):
        code, strayed, begin = 0, bool(np.isnan(scores).any()), 0
        for question, cities in enumerate(asked):
            old, new = before[begin : begin + len(cities)], scores[begin : begin + len(cities)]
            led, leads = int(np.argmax(old)), int(np.argmax(new))
            says = bool(own.says[number, begin + leads])
            said = bool(unedited.says[begin + led])
            same = int(own.top[number, question]) == int(unedited.top[question])
            moved = leads != led and "target" in cities[leads] and says
            stays = leads == led and same and says == said
            begin += len(cities)
            code |= moved << question
            strayed |= not (moved or stays)
        assert judged.pattern[number] == (OTHER if strayed else code)
