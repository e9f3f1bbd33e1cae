"""Leads and tops of the vocabulary, against full passes."""

from dataclasses import replace

import pytest

from metasae.search import report
from metasae.search.patterns import FoundEdit
from metasae.search.report import top_of_vocabulary
from metasae.steering.edits import (
    NO_EDIT,
)
from metasae.steering.experiment import Experiment
from metasae.steering.questions import Answer
from tests.oracle import logits


def test_leads_are_those_of_the_answers(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    for one in found:
        outcome = experiment.apply(one.edit)
        told = report.leads(outcome)
        assert list(told) == [question.attribute for question in experiment.questions]
        for attribute, rows in outcome.answers.groupby("attribute"):
            after = dict(zip(rows["answer"], rows["logprob"], strict=True))
            before = dict(zip(rows["answer"], rows["baseline"], strict=True))
            first, second = sorted(after.values(), reverse=True)[:2]
            lead = told[str(attribute)]
            assert after[lead["answer"]] == first and lead["after"] == pytest.approx(first - second)
            others = [value for answer, value in before.items() if answer != lead["answer"]]
            assert lead["before"] == pytest.approx(before[lead["answer"]] - max(others))
            assert (lead["before"] < 0) == bool(rows["best_before"].ne(rows["best_after"]).any())
        smallest = min(lead["after"] for lead in told.values())
        assert smallest == pytest.approx(one.margin, abs=1e-4)


def test_top_of_vocabulary_is_that_of_full_passes(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    edit = found[-1].edit
    tops = top_of_vocabulary(experiment, edit)
    assert list(tops) == [question.attribute for question in experiment.questions]
    outcome = experiment.apply(edit).answers
    for question in experiment.questions:
        tokens = experiment.model.prompt_tokens(question.prompt)
        at = experiment.edit_position(question.prompt)
        for state, made, column in (("before", NO_EDIT, "baseline"), ("after", edit, "logprob")):
            likeliest = int(logits(experiment, tokens, made, at)[-1].argmax())
            rows = outcome[outcome["attribute"] == question.attribute]
            answer = str(rows["answer"].iloc[int(rows[column].to_numpy().argmax())])
            pick = tops[question.attribute][state]
            assert pick.answer == answer
            assert pick.likeliest == experiment.model.decode(likeliest)
            assert pick.top == (experiment.model.encode(" " + answer)[0] == likeliest)


def test_a_pick_that_the_model_would_not_say_is_no_top(experiment: Experiment) -> None:
    answers = (Answer(("Tokyo",), "marmalade"), Answer(("Paris",), "linoleum"))
    question = replace(experiment.questions[0], answers=answers)
    odd = Experiment(
        experiment.model,
        experiment.decomposition,
        experiment.source,
        experiment.target,
        [question],
        experiment.median_norm,
        experiment.provenance,
    )
    tops = top_of_vocabulary(odd, NO_EDIT)[question.attribute]
    assert tops["before"] == tops["after"] and not tops["before"].top
    assert tops["before"].answer in ("marmalade", "linoleum")
