"""Bounds: what they settle, and what has to be read whole."""

from collections.abc import Mapping

import torch
from torch import Tensor

from metasae.ravel.judging import Bounds, Judged, Wanted, judged
from metasae.ravel.tails import Answered
from metasae.steering.questions import Answer, Question, Questions

ALL = slice(0, 4)
SINGLE = torch.tensor([[True, True, False, False]])


def noted(*nats: float, written: int | None = None) -> Bounds:
    """What is known of four answers once their first tokens were looked at; 0 and 1 have one."""
    says = torch.tensor([[n == written for n in range(len(nats))]])
    return Bounds.of(Answered(torch.tensor([nats]), says), SINGLE)


def opened(bounds: Bounds, *sides: int) -> list[int]:
    """Each of the answers is a side by itself."""
    mine = torch.tensor([[[n == side for n in range(4)]] for side in sides])
    return numbers(bounds.open(mine, ALL))


def numbers(on: Tensor) -> list[int]:
    return on[0].nonzero()[:, 0].tolist()


def test_an_answer_whose_beginning_is_less_likely_than_the_leader_is_not_read_on() -> None:
    # Answer 1 leads at −0.5; of the longer ones only the beginning of 2 is likelier.
    bounds = noted(-4.0, -0.5, -0.4, -3.0)
    assert opened(bounds, 0) == []
    assert opened(bounds, 3) == []
    assert opened(bounds, 2) == [2]
    # Side 1 leads unless 2 goes on likely enough; with 2 a side too, the side comes first.
    assert opened(bounds, 1) == [2]
    assert opened(bounds, 1, 2) == [2]


def test_what_is_written_is_read_on_even_where_it_cannot_lead() -> None:
    # Two answers share the likeliest beginning: the longer one is written or not.
    bounds = noted(-0.1, -5.0, -0.2, -6.0, written=2)
    assert opened(bounds, 2) == [2]
    assert opened(bounds, 3) == []


def test_a_side_of_several_answers_needs_one_that_leads_and_one_that_is_written() -> None:
    side = torch.tensor([[[True, True, False, True]]])
    # However 3 goes on, 0 or 1 leads or it does: the side leads, and 0 is written.
    assert not noted(-0.9, -0.8, -3.0, -0.7, written=0).open(side, ALL).any()
    # 2 may lead instead.
    assert numbers(noted(-0.9, -0.8, -0.7, -3.0, written=0).open(side, ALL)) == [2]


def test_what_was_read_settles_it_and_only_that_has_a_log_probability() -> None:
    answers = tuple(Answer((), text) for text in "abcd")
    questions = Questions((Question("letter", "It is", answers),))
    asked: list[list[int]] = []

    def read_on(wanted: Mapping[int, Wanted]) -> dict[int, Answered]:
        asked.append(wanted[0].answers.nonzero()[:, 0].tolist())
        assert wanted[0].edits.tolist() == [0]
        # Of the others nothing is to be kept.
        return {0: Answered(torch.tensor([[9.0, 9.0, -0.6, 9.0]]), torch.ones(1, 4).bool())}

    sides = torch.tensor([[[False, True, False, False]], [[False, False, True, False]]])
    bounds = noted(-4.0, -0.5, -0.4, -3.0, written=2)
    told = judged(questions, sides, bounds, read_on)
    assert asked == [[2]]
    assert told.leads.tolist() == [[[True]], [[False]]]
    assert told.says.tolist() == [[[False]], [[True]]]
    expected = torch.tensor([[-4.0, -0.5, -0.6, torch.nan]])
    torch.testing.assert_close(told.nats, expected, equal_nan=True)


def test_the_likeliest_answer_is_its_sides() -> None:
    answers = tuple(Answer((), text) for text in "ab")
    questions = Questions((Question("one", "It is", answers), Question("two", "It was", answers)))
    nats = torch.tensor([[-1.0, -2.0, -3.0, -0.5]])
    says = torch.tensor([[False, False, False, True]])
    sides = torch.tensor([[[True, False, True, False]], [[False, True, False, True]]])
    told = Judged.of(questions, sides, Answered(nats, says))
    assert told.leads.tolist() == [[[True, False]], [[False, True]]]
    assert told.says.tolist() == [[[False, False]], [[False, True]]]
