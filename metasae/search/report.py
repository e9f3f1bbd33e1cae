"""What each edit a search reports did besides, and how it stands against chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.lab import Lab
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.search.controls import control
from metasae.search.patterns import FoundEdit
from metasae.search.side_effects import SideEffectProbe
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
    lab: Lab, experiment: Experiment, found: Sequence[FoundEdit], progress: Progress = silent
) -> list[dict[str, Any]]:
    """What each found edit did besides, and whether chance would have done the same.

    Returns:
        For each edit ``side_effects``, ``control``, ``top`` and ``leads`` as JSON-able values;
        ``top`` says per attribute whether the pick is the likeliest token of the whole vocabulary,
        ``leads`` is that of `leads`.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw controls from.
    """
    around = SideEffectProbe(lab, experiment)
    notes: list[dict[str, Any]] = []
    for number, one in enumerate(found, 1):
        sides = around.side_effects(one.edit).to_dict()
        outcome = experiment.apply(one.edit)
        top = {
            attribute: asdict(pick["after"])
            for attribute, pick in _tops(experiment.model, outcome).items()
        }
        notes.append({"side_effects": sides, "top": top, "leads": leads(outcome)})
        progress("Measuring side effects", number / len(found), f"{number} of {len(found)} edits")
    progress("Trying random edits", 0.0, "")
    for note, against in zip(notes, control(experiment, found), strict=True):
        note["control"] = against.to_dict()
    return notes
