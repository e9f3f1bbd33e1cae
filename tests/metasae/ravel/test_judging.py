"""Bounds: what they settle, what has to be read on, and where one look contradicts another."""

import pytest
import torch
from torch import Tensor

from metasae.ravel import judging
from metasae.ravel.judging import OFF, Judge, Judged
from metasae.ravel.tails import Answered
from metasae.steering.questions import Answer, Question, Questions

ALL = slice(0, 4)
SINGLE = torch.tensor([[True, True, False, False]])
TOKENS = torch.tensor([1, 1, 2, 2])


def look(*nats: float, written: int | None = None) -> judging._Look:
    says = torch.tensor([[n == written for n in range(len(nats))]])
    return judging._Look(torch.tensor([nats]), says, ~says)


def noted(first: judging._Look, rough: bool = False) -> judging._Bounds:
    bounds = judging._Bounds.of(1, 4, rough)
    bounds.note(first, torch.tensor([0]), ALL, SINGLE, TOKENS, object() if rough else None)  # type: ignore[arg-type]
    return bounds


def opened(bounds: judging._Bounds, *sides: int) -> tuple[bool, list[int]]:
    """Each of the answers is a side by itself."""
    mine = torch.tensor([[[n == side for n in range(4)]] for side in sides])
    is_open, on = bounds.open(mine, ALL, SINGLE)
    return bool(is_open), on[0].nonzero()[:, 0].tolist()


def test_an_answer_whose_beginning_is_less_likely_than_the_leader_is_not_read_on() -> None:
    # Answer 1 leads at −0.5; of the longer ones only the beginning of 2 is likelier.
    bounds = noted(look(-4.0, -0.5, -0.4, -3.0))
    assert opened(bounds, 0) == (False, [])
    assert opened(bounds, 3) == (False, [])
    assert opened(bounds, 2) == (True, [2])
    # Side 1 leads unless 2 goes on likely enough; with 2 a side too, the side comes first.
    assert opened(bounds, 1) == (True, [2])
    assert opened(bounds, 1, 2) == (True, [2])


def test_what_is_written_is_read_on_even_where_it_cannot_lead() -> None:
    # Two answers share the likeliest beginning: the longer one is written or not.
    bounds = noted(look(-0.1, -5.0, -0.2, -6.0, written=2))
    assert opened(bounds, 2) == (True, [2])
    assert opened(bounds, 3) == (False, [])


@pytest.mark.parametrize("apart", [2.1 * OFF, 1.9 * OFF])
def test_bf16_settles_what_is_far_enough_apart(apart: float) -> None:
    bounds = noted(look(-0.5 - apart, -0.5, -9.0, -9.0, written=1), rough=True)
    assert opened(bounds, 0, 1) == (apart < 2 * OFF, [])


def test_a_look_closer_outside_the_bounds_contradicts() -> None:
    rows = torch.tensor([0])
    for off in (0.9 * OFF, 1.1 * OFF):
        bounds = noted(look(-2.0, -0.5, -9.0, -9.0), rough=True)
        closer = look(-2.0, -0.5 - off, -9.0, -9.0)
        if off < OFF:
            bounds.note(closer, rows, ALL, SINGLE, TOKENS, None)
            assert float(bounds.nats[0, 1]) == pytest.approx(-0.5 - off) and bounds.exact[0, 1]
        else:
            with pytest.raises(judging._Contradicted):
                bounds.note(closer, rows, ALL, SINGLE, TOKENS, None)


def test_where_bf16_is_contradicted_all_is_looked_at_in_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = tuple(Answer((), text) for text in "ab")
    questions = Questions((Question("letter", "It is", answers),))
    rough = object()
    exact = torch.tensor([[-3.0, -0.2], [-0.2, -3.0]])

    class Prompts:
        def alone(self, number: int, part: slice) -> "Prompts":
            return self

    def looked(tails: object, changes: Tensor, blocks: object) -> judging._Look:
        # bf16 takes one answer for the other under the second edit, and is unsure of the first.
        nats = exact[changes[:, 0].long()].clone()
        if blocks is rough:
            nats = torch.where(changes > 0, nats.flip(1), torch.tensor([-0.9, -0.8]))
        best = nats == nats.amax(1, keepdim=True)
        return judging._Look(nats, best, ~best)

    monkeypatch.setattr(judging, "_look", looked)
    judge = Judge(questions, torch.tensor([1, 1]), Prompts(), lambda *_: Prompts())  # type: ignore[arg-type]
    sides = torch.eye(2, dtype=torch.bool)[:, None].expand(-1, 2, -1)
    found = judge.judged(torch.tensor([[0.0], [1.0]]), sides, rough)  # type: ignore[arg-type]
    expected = [[[False], [True]], [[True], [False]]]
    assert found.leads.tolist() == found.says.tolist() == expected
    assert found.exact.all() and torch.equal(found.nats, exact)


def test_tops_are_sure_only_with_room_to_all_that_was_looked_at_and_all_that_was_not() -> None:
    place = torch.tensor([0, 0, 1, 1])
    picked = torch.tensor(
        [
            [0.9, 0.05, 0.5, 0.45],  # sure; too close
            [0.5, 0.1, 0.2, 0.01],  # 0.4 that nobody looked at; 0.79
        ]
    ).log()
    top, gone = judging._tops(picked, place.expand_as(picked), 2)
    assert top.tolist() == [[True, False, False, False], [False, False, False, False]]
    assert gone.tolist() == [[False, True, False, False], [False, True, False, True]]


def test_a_side_of_several_answers_needs_one_that_leads_and_one_that_is_written() -> None:
    side = torch.tensor([[[True, True, False, True]]])
    # Whichever of 0 and 1 is likelier, and however 3 goes on: the side leads.
    bounds = noted(look(-0.8, -0.8, -3.0, -0.9, written=0), rough=True)
    is_open, on = bounds.open(side, ALL, SINGLE)
    assert not is_open and not on.any()
    bounds = noted(look(-0.8, -0.8, -0.9, -3.0, written=0), rough=True)
    is_open, on = bounds.open(side, ALL, SINGLE)
    assert is_open and on.tolist() == [[False, False, True, False]]


def test_the_likeliest_answer_is_its_sides() -> None:
    answers = tuple(Answer((), text) for text in "ab")
    questions = Questions((Question("one", "It is", answers), Question("two", "It was", answers)))
    nats = torch.tensor([[-1.0, -2.0, -3.0, -0.5]])
    says = torch.tensor([[False, False, False, True]])
    sides = torch.tensor([[[True, False, True, False]], [[False, True, False, True]]])
    told = Judged.of(questions, sides, Answered(nats, says), says)
    assert told.leads.tolist() == [[[True, False]], [[False, True]]]
    assert told.says.tolist() == [[[False, False]], [[False, True]]]
