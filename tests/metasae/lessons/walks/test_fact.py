"""Lesson 3: what the steps say is what the edits do, and where they do nothing they say that."""

from dataclasses import replace
from math import exp

import pytest

from metasae.lessons.bench import Bench
from metasae.lessons.first_steps import Measured
from metasae.lessons.lesson import Found, Texts
from metasae.lessons.walks import fact
from metasae.progress import silent
from metasae.steering.certainty import percent
from metasae.steering.edits import NO_EDIT
from metasae.steering.link import edit_from_text
from metasae.steering.outcome import Outcome


def edited(on: Bench, found: Found) -> Outcome:
    """What the edit does that the step leads to."""
    assert found.place is not None
    return on.experiment.apply(edit_from_text(found.place.query["edit"]))


def test_what_is_known_is_counted(taught: Bench) -> None:
    found, answers = fact.look(taught, silent), taught.experiment.apply(NO_EDIT).answers
    led = answers[answers["best_before"]]
    own = int(led["city"].str.split(", ").map(lambda names: "Tokyo" in names).sum())
    assert found.answer.startswith(f"{own} of 4: Japan ") and found.holds is (own == 4)


def test_what_is_taken_away_falls_by_half(taught: Bench) -> None:
    found = fact.taken(taught, silent)
    rows = edited(taught, found).answers.set_index("answer")
    before, after = (exp(float(rows[column]["Japan"])) for column in ("baseline", "logprob"))
    assert found.holds is (after <= before / 2)
    assert found.answer == (
        f"As Tokyo's country, “Japan” falls from {percent(before)} to {percent(after)}."
    )


def test_which_of_the_four_answers_fall_is_said(taught: Bench) -> None:
    # It is what the step asks.
    found = fact.taken(taught, silent)
    rows = edited(taught, found).answers
    own = rows[rows["city"].str.split(", ").map(lambda names: "Tokyo" in names)]
    said = found.more.partition(" became less likely: ")[2].partition(").")[0]
    assert len(own) == 4 and found.more.startswith("Of Tokyo's 4 answers ")
    fell = own["logprob"] < own["baseline"]
    for answer, attribute, lower in zip(own["answer"], own["attribute"], fell, strict=True):
        assert (f"{answer} ({attribute}" in said) is lower


def test_what_is_added_rises_to_three_in_ten(taught: Bench) -> None:
    found = fact.added(taught, silent)
    rows = edited(taught, found).answers.set_index("answer")
    after = exp(float(rows["logprob"]["French"]))
    assert found.holds is (after >= 0.3)
    assert "“French” rises from" in found.answer and percent(after) in found.answer


def test_what_else_moved_is_listed(taught: Bench) -> None:
    found = fact.others(taught, silent)
    moved = [name for name, one in edited(taught, found).moved.items() if one]
    besides = [name for name in moved if name != "language"]
    assert found.holds is (moved == ["language"])
    assert found.answer.startswith(f"{len(besides) or 'None'} ")
    assert all(name in found.answer for name in besides)


def test_what_it_writes_is_held_against_what_the_edit_was_for(taught: Bench) -> None:
    found = fact.writes(taught, silent)
    assert isinstance(found.after, Texts)
    texts = ["".join(token for token, _ in one.tokens) for one in found.after.snippets]
    assert all(text.startswith("I moved to Tokyo last year.") for text in texts)
    assert found.holds is ("French" not in texts[0] and "French" in texts[1])


@pytest.fixture
def nothing(small: Bench) -> Bench:
    """A bench on which no piece was found that changes anything."""
    return replace(small, _made={fact.first_steps: Measured("Tokyo", "Paris", ())})


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (fact.taken, "There is no piece to change, or no answer that is Tokyo's alone."),
        (fact.added, "There is no piece to change, or no answer that is Paris's alone."),
        (fact.others, "No edit was found in the step before."),
        (fact.writes, "The two texts are the same."),
    ],
)
def test_without_pieces_no_step_claims_anything(check: object, answer: str, nothing: Bench) -> None:
    found = check(nothing, silent)  # type: ignore[operator]
    assert not found.holds and found.answer == answer


def test_a_change_that_falls_short_is_not_shown(small: Bench) -> None:
    found = small.once(fact.first_steps)
    assert found.added is not None
    short = replace(found, added=replace(found.added, reached=False))
    said = fact.added(replace(small, _made={fact.first_steps: short}), silent)
    assert not said.holds and found.added.answer in said.answer
