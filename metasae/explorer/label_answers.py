"""Asks a language model about labels: the questions, what they cost, and the answers as they come.

Answers are kept line by line, so that a run that was stopped goes on and asks nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metasae.errors import UserError
from metasae.explorer import label_server
from metasae.explorer.label_questions import INTRUDER, KINDS, TASKS, LabelQuestion, questions_of
from metasae.explorer.label_server import Endpoint
from metasae.explorer.score_examples import Examples, Sampling
from metasae.progress import Progress, silent


@dataclass(frozen=True)
class _Kept:
    """An answer as it is kept.

    Attributes:
        of: `Endpoint.mark` of the question.
    """

    of: str
    answer: tuple[int, ...]


OneAnswered = tuple[LabelQuestion, tuple[int, ...] | None]
"""A question with its answer; None where the model gave none."""

Answered = Sequence[OneAnswered]
"""Questions with their answers."""


def all_questions(
    examples: Mapping[int, Examples],
    labels: Mapping[int, str],
    others: Mapping[int, str],
    sampling: Sampling,
    kinds: Sequence[str] = KINDS,
) -> list[LabelQuestion]:
    """All questions about some latents.

    Args:
        labels: of each.
        others: labels a control's is drawn from.
    """
    asked: list[LabelQuestion] = []
    for latent, pieces in examples.items():
        choice = [text for other, text in others.items()
                  if other != latent and text != labels[latent]]  # fmt: skip
        draw = np.random.default_rng([sampling.seed, latent])
        control = choice[int(draw.integers(len(choice)))] if choice else ""
        asked += questions_of(latent, labels[latent], control, pieces, sampling, kinds)
    return asked


def answered(
    questions: Sequence[LabelQuestion],
    endpoint: Endpoint,
    kept: Path,
    agreed: bool,
    progress: Progress = silent,
) -> Answered:
    """Ask what isn't answered in ``kept`` yet.

    Raises:
        UserError: with the cost, before anything is sent, unless it was agreed to; as
            `label_server.ask_each`.
    """
    marks = {endpoint.mark(one.lines, TASKS[one.kind]): one for one in questions}
    former = {
        one.of: one for one in label_server.kept_lines(kept, _Kept) if one.of in marks
    }  # fmt: skip
    left = [one for mark, one in marks.items() if mark not in former]
    if left and not agreed:
        requests, tokens = cost(left)
        raise UserError(
            f"{endpoint.url} would be asked {requests:,} times, about {tokens:,} tokens in all "
            f"({len(marks) - requests:,} questions are answered already); add --yes to go on, or "
            "ask about fewer latents, pieces or kinds."
        )

    def ask(mark: str) -> _Kept:
        one = marks[mark]
        return _Kept(mark, one.read(label_server.said(endpoint.say(TASKS[one.kind], one.lines))))

    found = label_server.ask_each(endpoint.url, marks, ask, former, kept, progress)
    asked = ((one, endpoint.mark(one.lines, TASKS[one.kind])) for one in questions)
    return [(one, found[mark].answer if mark in found else None) for one, mark in asked]


def cost(questions: Sequence[LabelQuestion]) -> tuple[int, int]:
    """Requests, and about how many tokens they and their answers have."""
    costs = [
        label_server.cost((one.lines for one in questions if one.kind == kind), task)
        for kind, task in TASKS.items()
    ]
    return sum(one for one, _ in costs), sum(tokens for _, tokens in costs)


def as_delphi(found: Answered) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """The answers about the labels themselves, by kind and latent, as delphi writes them."""
    written: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for question, answer in found:
        if question.control:
            continue
        rows = written.setdefault(question.kind, {}).setdefault(question.latent, [])
        if question.kind == INTRUDER:
            rows.append(_intruder(question, None if answer is None else answer[0]))
            continue
        for place, piece in enumerate(question.examples):
            said = None if answer is None else bool(answer[place])
            rows.append(
                {
                    "str_tokens": list(piece.tokens), "activations": list(piece.activations),
                    "distance": piece.distance, "activating": piece.activating, "prediction": said,
                    "probability": None,
                    "correct": None if said is None else said == piece.activating,
                }
            )  # fmt: skip
    return written


def _intruder(question: LabelQuestion, said: int | None) -> dict[str, Any]:
    """One intruder question as delphi writes it; without an answer it has no sample there."""
    if said is None:
        return {"interpretation": "", "sample": None, "prediction": 0, "correct_index": -1,
                "correct": False}  # fmt: skip
    silent = question.examples[question.intruder]
    others = [one.distance for one in question.examples if one.activating]
    return {
        "interpretation": "",
        "sample": {
            "examples": list(question.texts),
            "intruder_index": question.intruder,
            "chosen_quantile": int(others[0]),
            "activations": [list(one.activations) for one in question.examples],
            "tokens": [list(one.tokens) for one in question.examples],
            "intruder_distance": silent.distance,
        },
        "prediction": said,
        "correct_index": question.intruder,
        "correct": said == question.intruder,
    }
