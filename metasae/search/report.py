"""What each edit a search reports did besides, and how it stands against chance."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lab.spread import Spread
from metasae.progress import Progress, silent
from metasae.search.controls import Control, control, draws_for
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob
from metasae.search.patterns import FoundEdit
from metasae.search.side_effects import SideEffectProbe, SideEffects
from metasae.search.spec import experiment_of
from metasae.search.variants import variants
from metasae.sources.records import to_values
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.verdict import leading

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pick:
    """The likeliest candidate answer, and whether the model would say it of its own accord.

    Attributes:
        answer: its text.
        top: whether the model itself would write it: each of its tokens is the likeliest of the
            whole vocabulary.
        likeliest: the likeliest next token.
    """

    answer: str
    top: bool
    likeliest: str


def picks(outcome: Outcome) -> dict[str, Pick]:
    """Per attribute the pick after an edit, beside the model's top token."""
    return {
        attribute: Pick(answer.text, own.answer and own.text == answer.text, top[0][0])
        for attribute, answer, own, top in zip(
            outcome.questions.attributes,
            outcome.leading_after,
            outcome.own_after,
            outcome.top_after,
            strict=True,
        )
    }


@dataclass(frozen=True)
class Lead:
    """By how much the pick after an edit leads the next candidate, in nats.

    Attributes:
        answer: the pick's text.
        before: its lead on the unedited prompt, negative where another was picked; None where
            there is no other candidate.
        after: its lead under the edit; None likewise.
    """

    answer: str
    before: float | None
    after: float | None


def leads(outcome: Outcome) -> dict[str, Lead]:
    """The lead of each attribute's pick after an edit."""
    verdict = outcome.verdict
    made = {}
    for question, scores, was, place, after in zip(
        outcome.questions,
        outcome.questions.split(outcome.baseline),
        verdict.before.tolist(),
        verdict.after[0].tolist(),
        verdict.lead[0].tolist(),
        strict=True,
    ):
        # Of an answer that did not lead, the one that did is the best of the others.
        before = leading(scores)[1] if place == was else scores[place] - scores[was]
        alone = len(question.answers) == 1
        made[question.attribute] = Lead(
            question.answers[place].text, None if alone else float(before), None if alone else after
        )
    return made


@dataclass(frozen=True)
class Assessment:
    """What an edit that a search reports did besides, and how it stands against chance.

    Attributes:
        top: per attribute whether the model itself would say the pick.
        leads: per attribute by how much the pick leads, before and after.
    """

    side_effects: SideEffects
    top: dict[str, Pick]
    leads: dict[str, Lead]
    control: Control

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return to_values(self) | {"side_effects": self.side_effects.to_dict()}


def effects_and_controls(
    lab: Lab,
    experiment: Experiment,
    edits: Sequence[FoundEdit],
    tried: int,
    progress: Progress = silent,
) -> list[Assessment]:
    """What each edit a search reports did besides, and whether chance would have done the same.

    Args:
        tried: combinations that the search scored, which the controls are as many as.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw controls from.
    """
    # First, since they may be impossible: a sentence before minutes of measuring.
    progress("Trying random edits", 0.0, "")
    controls = control(experiment, edits, draws_for(tried))
    probe = SideEffectProbe(lab, experiment)
    made = []
    for number, (one, against) in enumerate(zip(edits, controls, strict=True), 1):
        outcome = experiment.apply(one.edit)
        made.append(
            Assessment(
                side_effects=probe.side_effects(one.edit),
                top=picks(outcome),
                leads=leads(outcome),
                control=against,
            )
        )
        progress("Measuring side effects", number / len(edits), f"{number} of {len(edits)} edits")
    return made


def search_pair(
    job: Job,
    most: int,
    out: Path | None = None,
    more_ways: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run one pair's search; all that is reported of it as JSON-able values.

    Args:
        most: combinations up to which all are scored.
        out: file for everything that was scored.
        more_ways: also what each variant of the edit would add (see `variants.variants`).

    Returns:
        Where side effects and controls could not be measured they are None, and "problem" says why.

    Raises:
        UserError: whatever `Job.run` raises.
    """
    summary = job.run(progress, most=most)
    assert summary is not None  # nobody cancels
    if out is not None:
        job.export(out)
    values = job.about | summary.to_dict()
    values["remarks"] = list(job.experiment.remarks)
    values["patterns"], problem = _assessed(
        job.lab, job.experiment, summary.patterns, summary.scored, progress
    )
    if problem is not None:
        values["problem"] = problem
    if more_ways:
        pair = job.experiment.source, job.experiment.target
        tried = variants(job.lab, *pair, progress=progress)
        values["ways"] = [one.to_dict() for one in tried]
    return values


_NOT_MEASURED: dict[str, Any] = {
    "side_effects": None, "control": None, "top": None, "leads": None,
}  # fmt: skip


def _assessed(
    lab: Lab, experiment: Experiment, patterns: Sequence[FoundEdit], tried: int, progress: Progress
) -> tuple[list[dict[str, Any]], str | None]:
    """What is reported of a search's patterns; and why nothing is of what they did besides."""
    try:
        found = effects_and_controls(lab, experiment, patterns, tried, progress)
    except UserError as error:
        # The search itself is done, and may have taken hours.
        _log.info("nothing is assessed", exc_info=True)
        return [_reported(one) for one in patterns], str(error)
    return [_reported(one, more) for one, more in zip(patterns, found, strict=True)], None


def _reported(one: FoundEdit, more: Assessment | None = None) -> dict[str, Any]:
    values = one.to_dict()
    beside = _NOT_MEASURED if more is None else more.to_dict()
    return values | {"edit": _with_changes(values["edit"])} | beside


def search_pairs(
    pairs: PairsJob,
    out: Path | None = None,
    side_effects: bool = False,
    spread: Spread | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run many pairs' searches; all that is reported of them as JSON-able values.

    Args:
        out: file for the table of what each pair reached.
        side_effects: measure side effects and controls too, a few seconds a pair.
        spread: where to search; here when left out.

    Returns:
        The "problem" of a pair says why it was not searched, or its side effects not measured.

    Raises:
        UserError: whatever `PairsJob.run` raises.
    """
    table = pairs.run(progress, spread=spread)
    assert table is not None  # nobody cancels
    if out is not None:
        pairs.export(out)
    told, patterns, summaries = [], [], []
    for place, pair in pairs.pairs().items():
        spec, problem = pairs.specs[place], pair.problem
        ends: dict[str, Any] = {"source": spec.source, "target": spec.target}
        reached = [_reported(one) for one in pair.patterns]
        if side_effects and reached:
            experiment = experiment_of(pairs.lab, spec)
            tried = 0 if pair.summary is None else pair.summary.scored
            reached, problem = _assessed(pairs.lab, experiment, pair.patterns, tried, progress)
        patterns += [ends | one for one in reached]
        count = None
        if pair.summary is not None:
            summaries.append(pair.summary)
            count = pair.summary.combinations
        told.append(ends | {"combinations": count, "patterns": len(reached), "problem": problem})
    return pairs.about | {
        "remarks": list(pairs.remarks),
        "pairs": told,
        "combinations": sum(one.combinations for one in summaries),
        "seconds": sum(one.seconds for one in summaries),
        "patterns": patterns,
    }


def _with_changes(edit: dict[str, Any]) -> dict[str, Any]:
    """An edit, and which meta-latents it removes and adds wholly."""
    # A strength is listed where it is not the default: 0 is a source's that goes, 1 a target's.
    strengths = [(int(meta), strength) for meta, strength in edit["strengths"].items()]
    return {
        "remove": [meta for meta, strength in strengths if strength == 0.0],
        "add": [meta for meta, strength in strengths if strength == 1.0],
    } | edit
