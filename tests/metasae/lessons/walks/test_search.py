"""Lesson 4: what the search finds and what the controls say, or that there is nothing to find."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from metasae.lessons.bench import Bench
from metasae.lessons.lesson import Bars, Step
from metasae.lessons.walks import search as walk
from metasae.progress import silent
from metasae.search.combinations import Combinations
from metasae.search.patterns import FoundEdit
from metasae.steering.edits import NO_EDIT
from metasae.steering.outcome import Outcome


def moves(outcome: Outcome) -> tuple[bool, ...]:
    return tuple(outcome.moved.values())


def test_the_edits_are_counted(taught: Bench) -> None:
    own = [piece for piece in taught.experiment.pieces if piece.side != "shared"]
    found = walk.ways(taught, silent)
    assert found.holds and found.answer.startswith(f"{2 ** len(own):,}: ")


@pytest.mark.slow
def test_the_patterns_are_those_of_all_edits_tried_one_by_one(taught: Bench) -> None:
    combinations = Combinations.of(taught.experiment)
    reached = set()
    for number in range(len(combinations)):
        outcome = taught.experiment.apply(combinations.edit(number))
        verdict = outcome.verdict
        if bool((verdict.moved | verdict.kept).all()) and float(verdict.margin[0]) > walk.CLEAR:
            reached.add(moves(outcome))
    clear = {one for one in reached if any(one)}
    found = walk.reached(taught, silent)
    assert found.holds is bool(clear)
    assert found.answer.startswith(f"{len(clear)} of 15 patterns")


@pytest.mark.slow
def test_the_edit_that_moves_one_fact_does(taught: Bench) -> None:
    found, one = walk.alone(taught, silent), taught.once(walk.chosen)
    assert one is not None and isinstance(found.after, Outcome)
    moved = [name for name, done in found.after.moved.items() if done]
    assert found.holds is (len(moved) == 1)
    assert all(name in found.answer for name in moved)
    assert found.more == one.sentence


@pytest.mark.slow
def test_chance_is_held_against_the_real_pieces(taught: Bench) -> None:
    found, one = walk.chance(taught, silent), taught.once(walk.chosen)
    assert one is not None and isinstance(found.after, Bars)
    real, random, shuffled = (bar.value for bar in found.after.bars)
    assert real == one.reached_by
    # Shares of so many draws.
    for share in (random, shuffled):
        assert share * walk.DRAWS == pytest.approx(round(share * walk.DRAWS))
    assert found.holds is (max(random, shuffled) < real and "Even" in found.more)
    if max(random, shuffled) >= real:
        assert not found.holds and "can't be told from chance" in found.more


@pytest.mark.slow
def test_what_the_model_would_say_is_counted(taught: Bench) -> None:
    found = walk.says(taught, silent)
    leads = said = 0
    for one in taught.once(walk.found_edits):
        outcome = taught.experiment.apply(one.edit)
        for attribute, done in outcome.moved.items():
            if done:
                own = outcome.own_after[list(outcome.moved).index(attribute)]
                best = outcome.leading_after[list(outcome.moved).index(attribute)].text
                leads, said = leads + 1, said + (own.answer and own.text == best)
    assert found.answer.startswith(f"{said} of {leads} that lead")
    assert found.holds is (said < leads)


@pytest.fixture
def nothing(small: Bench) -> Bench:
    """A bench on which no edit moves anything."""
    edit = FoundEdit(NO_EDIT, dict.fromkeys(small.experiment.questions.attributes, False), 1.0, "")
    return replace(small, _made={walk.found_edits: (edit,)})


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (walk.reached, "0 of"),
        (walk.alone, "No: no edit of these pieces moves any fact."),
        (walk.chance, "There is no edit to compare with chance."),
        (walk.says, "No edit makes an answer lead that did not."),
    ],
)
def test_where_nothing_moves_that_is_said(check: object, answer: str, nothing: Bench) -> None:
    found = check(nothing, silent)  # type: ignore[operator]
    assert not found.holds and found.answer.startswith(answer)


def test_an_edit_that_chance_makes_as_often_is_not_shown(
    small: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    against = SimpleNamespace(
        real=0.2, random=0.3, shuffled=0.1, upper=0.4, draws=walk.DRAWS, marked=True
    )
    monkeypatch.setattr(walk, "control", lambda *_: (against,))
    found = walk.chance(small, silent)
    assert not found.holds and found.answer.startswith("30.0% of random edits")


def test_two_facts_that_move_together_are_not_one(small: Bench) -> None:
    one = FoundEdit(
        NO_EDIT,
        {name: place < 2 for place, name in enumerate(small.experiment.questions.attributes)},
        1.25,
        "Both.",
    )
    found = walk.alone(replace(small, _made={walk.found_edits: (one,)}), silent)
    assert not found.holds
    assert found.answer == (
        "No. The fewest that move together are country and language, by 1.25 nats."
    )


def test_more_combinations_than_a_lesson_waits_for_are_said(
    small: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST", 2)
    step = next(one for one in walk.LESSON.steps if one.check is walk.reached)
    assert isinstance(step, Step)
    found = step.found(small)
    assert not found.holds and "combinations and all are scored up to 2" in found.more
