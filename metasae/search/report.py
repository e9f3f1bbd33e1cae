"""What each edit a search reports did besides, and how it stands against chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.search.controls import control
from metasae.search.job import Job
from metasae.search.pairs_job import PairsJob, Spread
from metasae.search.patterns import FoundEdit
from metasae.search.side_effects import SideEffectProbe
from metasae.search.spec import experiment_of
from metasae.search.variants import variants
from metasae.steering.edits import Edit
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.questions import Answer


@dataclass(frozen=True)
class Pick:
    """The likeliest candidate answer, and whether the model would say it of its own accord.

    Attributes:
        answer: its text.
        top: whether its first token is the likeliest of the whole vocabulary.
        likeliest: the token that is.
    """

    answer: str
    top: bool
    likeliest: str


def top_of_vocabulary(experiment: Experiment, edit: Edit) -> dict[str, dict[str, Pick]]:
    """Per attribute the pick "before" and "after" the edit, beside the model's top token.

    Raises:
        UserError: when the edit does not fit the experiment.
    """
    return _tops(experiment.model, experiment.apply(edit))


def _tops(model: LanguageModel, outcome: Outcome) -> dict[str, dict[str, Pick]]:
    picks = zip(
        outcome.questions.attributes,
        zip(outcome.leading_before, outcome.top_before, strict=True),
        zip(outcome.leading_after, outcome.top_after, strict=True),
        strict=True,
    )
    return {
        attribute: {"before": _pick(model, *before), "after": _pick(model, *after)}
        for attribute, before, after in picks
    }


def _pick(model: LanguageModel, answer: Answer, top: list[tuple[str, float]]) -> Pick:
    likeliest = top[0][0]
    first = model.decode(model.encode(" " + answer.text)[0])
    return Pick(answer.text, first == likeliest, likeliest)


def leads(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Per attribute the pick after an edit, and its lead over the next candidate, in nats.

    Returns:
        Attribute → ``answer``, ``after``, and ``before``: the same answer's lead on the unedited
        prompt, negative where another was picked; None where there is no other candidate.
    """
    places = outcome.verdict.after[0].tolist()
    rows = zip(
        outcome.questions.attributes,
        outcome.leading_after,
        places,
        outcome.questions.split(outcome.baseline),
        outcome.questions.split(outcome.logprobs),
        strict=True,
    )
    return {
        attribute: {
            "answer": answer.text,
            "before": _lead_of(before, place),
            "after": _lead_of(after, place),
        }
        for attribute, answer, place, before, after in rows
    }


def _lead_of(scores: Float[Tensor, " a"], place: int) -> float | None:
    """Nats by which one answer leads the best of the others; None without others."""
    others = torch.cat([scores[:place], scores[place + 1 :]])
    return float(scores[place] - others.max()) if len(others) else None


def effects_and_controls(
    lab: Lab, experiment: Experiment, edits: Sequence[FoundEdit], progress: Progress = silent
) -> list[dict[str, Any]]:
    """What each edit a search reports did besides, and whether chance would have done the same.

    Returns:
        For each edit ``side_effects``, ``control``, ``top`` and ``leads`` as JSON-able values;
        ``top`` says per attribute whether the pick is the likeliest token of the whole vocabulary,
        ``leads`` is that of `leads`.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw controls from.
    """
    around = SideEffectProbe(lab, experiment)
    notes: list[dict[str, Any]] = []
    for number, one in enumerate(edits, 1):
        sides = around.side_effects(one.edit).to_dict()
        outcome = experiment.apply(one.edit)
        top = {
            attribute: asdict(pick["after"])
            for attribute, pick in _tops(experiment.model, outcome).items()
        }
        notes.append({"side_effects": sides, "top": top, "leads": leads(outcome)})
        progress("Measuring side effects", number / len(edits), f"{number} of {len(edits)} edits")
    progress("Trying random edits", 0.0, "")
    for note, against in zip(notes, control(experiment, edits), strict=True):
        note["control"] = against.to_dict()
    return notes


def of_pair(
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

    Raises:
        UserError: whatever `Job.run` and `effects_and_controls` raise.
    """
    summary = job.run(progress, most=most)
    assert summary is not None  # nobody cancels
    if out is not None:
        job.export(out)
    values = job.about | summary.to_dict()
    beside = effects_and_controls(job.lab, job.experiment, summary.patterns, progress)
    values["patterns"] = [
        one | {"edit": _with_changes(one["edit"])} | more
        for one, more in zip(values["patterns"], beside, strict=True)
    ]
    if more_ways:
        pair = job.experiment.source, job.experiment.target
        tried = variants(job.lab, *pair, progress=progress)
        values["ways"] = [one.to_dict() for one in tried]
    return values


_NOT_MEASURED: dict[str, Any] = {
    "side_effects": None, "control": None, "top": None, "leads": None,
}  # fmt: skip


def of_pairs(
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

    Raises:
        UserError: whatever `PairsJob.run` and `effects_and_controls` raise.
    """
    table = pairs.run(progress, spread=spread)
    assert table is not None  # nobody cancels
    if out is not None:
        pairs.export(out)
    entries = pairs.entries()
    summaries, patterns = [], []
    for place, entry in entries.items():
        spec = pairs.specs[place]
        ends = {"source": spec.source, "target": spec.target}
        reached = entry.get("patterns", [])
        notes = [_NOT_MEASURED] * len(reached)
        if side_effects and reached:
            edits = [FoundEdit.from_dict(one) for one in reached]
            experiment = experiment_of(pairs.lab, spec)
            notes = effects_and_controls(pairs.lab, experiment, edits, progress)
        patterns += [
            ends | one | {"edit": _with_changes(one["edit"])} | note
            for one, note in zip(reached, notes, strict=True)
        ]
        summaries.append(
            ends
            | {
                "combinations": entry.get("combinations"),
                "patterns": len(reached),
                "problem": entry.get("problem"),
            }
        )
    return pairs.about | {
        "pairs": summaries,
        "combinations": sum(entry.get("combinations", 0) for entry in entries.values()),
        "seconds": sum(entry.get("seconds", 0.0) for entry in entries.values()),
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
