"""Leads and tops of the vocabulary, against full passes."""

from dataclasses import replace
from pathlib import Path

import pytest

from metasae.cli.searching import Searched
from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.search import report
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.report import Lead, picks, search_pair, search_pairs
from metasae.search.spec import Spec
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
            assert lead.before is not None and lead.after is not None
            assert after[lead.answer] == first and lead.after == pytest.approx(first - second)
            others = [value for answer, value in before.items() if answer != lead.answer]
            assert lead.before == pytest.approx(before[lead.answer] - max(others))
            assert (lead.before < 0) == bool(rows["best_before"].ne(rows["best_after"]).any())
        smallest = min(lead.after for lead in told.values() if lead.after is not None)
        assert smallest == pytest.approx(one.margin, abs=1e-4)


def test_an_answer_without_a_rival_has_no_lead(experiment: Experiment) -> None:
    (first, *rest) = experiment.questions
    alone = experiment.replaced(questions=[replace(first, answers=first.answers[:1]), *rest])
    told = report.leads(alone.apply(NO_EDIT))
    assert told[first.attribute] == Lead(first.answers[0].text, None, None)
    assert all(one.after == one.before and one.after for name, one in told.items()
               if name != first.attribute)  # fmt: skip


def test_the_picks_are_the_tops_of_full_passes(
    experiment: Experiment, found: tuple[FoundEdit, ...]
) -> None:
    for edit in (NO_EDIT, found[-1].edit):
        outcome = experiment.apply(edit)
        tops = picks(outcome)
        assert list(tops) == [question.attribute for question in experiment.questions]
        for question in experiment.questions:
            tokens = experiment.model.prompt_tokens(question.prompt)
            at = experiment.edit_position(question.prompt)
            likeliest = int(logits(experiment, tokens, edit, at)[-1].argmax())
            rows = outcome.answers[outcome.answers["attribute"] == question.attribute]
            answer = str(rows["answer"].iloc[int(rows["logprob"].to_numpy().argmax())])
            pick = tops[question.attribute]
            assert pick.answer == answer
            assert pick.likeliest == experiment.model.decode(likeliest)
            written = experiment.model.encode(" " + answer)
            whole = logits(experiment, [*tokens, *written], edit, at).argmax(-1)
            assert pick.top == (whole[len(tokens) - 1 : -1].tolist() == written)


def test_a_pick_that_the_model_would_not_say_is_no_top(experiment: Experiment) -> None:
    answers = (Answer(("Tokyo",), "marmalade"), Answer(("Paris",), "linoleum"))
    question = replace(experiment.questions[0], answers=answers)
    odd = experiment.replaced(questions=[question])
    pick = picks(odd.apply(NO_EDIT))[question.attribute]
    assert not pick.top and pick.answer in ("marmalade", "linoleum")


def test_a_search_whose_edits_have_no_control_is_reported_all_the_same(
    small_lab: Lab, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_: object) -> None:
        raise UserError("The control needs 3 meta-latents that neither side has.")

    job = Job(small_lab, spec, tmp_path / "one")
    asked = search_pair(job, 1000)
    assert "problem" not in asked and asked["patterns"][-1]["control"]["draws"]
    monkeypatch.setattr(report, "control", impossible)
    told = search_pair(job, 1000, tmp_path / "all.csv")
    beside = ("side_effects", "control", "top", "leads")
    assert told["problem"].startswith("The control needs 3") and (tmp_path / "all.csv").exists()
    assert {one[name] for one in told["patterns"] for name in beside} == {None}
    for one, other in zip(told["patterns"], asked["patterns"], strict=True):
        assert one.keys() == other.keys() and one["edit"] == other["edit"]
    pairs = PairsJob(small_lab, [spec], tmp_path / "many")
    told = search_pairs(pairs, side_effects=True)
    assert told["pairs"][0]["problem"].startswith("The control needs 3")
    assert len(told["patterns"]) == len(asked["patterns"])
    assert any("Side effects and controls were not" in line
               for line in Searched(asked | {"problem": "why"}).text().splitlines())  # fmt: skip
