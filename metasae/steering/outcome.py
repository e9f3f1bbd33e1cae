"""What one edit did, beside the unedited model: as tables and in words.

Log-probabilities are in nats; an answer's is the sum over its tokens, each given those before it.

Shapes: A answers of all questions, in the questions' order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit
from metasae.steering.provenance import Provenance
from metasae.steering.questions import CUSTOM, Answer, Questions, Subject, remarks
from metasae.steering.verdict import Verdict, verdict

TopTokens = list[list[tuple[str, float]]]
"""For each question the likeliest next tokens with their log-probabilities."""

UNITS = "nats (natural logarithm); an answer's log-probability is the sum over its tokens"
"""Of log-probabilities, as every file says it; ids of searches depend on these words."""


@dataclass(frozen=True)
class Outcome:
    """The questions about a source, answered unedited and under one edit.

    Attributes:
        baseline, logprobs: log-probability of every answer before and after, in nats.
        pieces: the meta-latents of both sides, which an edit may change.
        top_before, top_after: the model's own likeliest next tokens after each prompt.
    """

    source: Subject
    target: Subject
    questions: Questions
    pieces: tuple[Piece, ...]
    edit: Edit
    baseline: Float[Tensor, " A"]
    logprobs: Float[Tensor, " A"]
    top_before: TopTokens
    top_after: TopTokens
    provenance: Provenance

    @cached_property
    def verdict(self) -> Verdict:
        """Which answers lead after the edit, beside the unedited model's."""
        return verdict(self.questions, self.baseline, self.logprobs[None], self.target.label)

    @cached_property
    def leading_before(self) -> tuple[Answer, ...]:
        """For each question the likeliest candidate of the unedited model."""
        return self._answers_at(self.verdict.before.tolist())

    @cached_property
    def leading_after(self) -> tuple[Answer, ...]:
        """For each question the likeliest candidate after the edit."""
        return self._answers_at(self.verdict.after[0].tolist())

    def _answers_at(self, places: Sequence[int]) -> tuple[Answer, ...]:
        return tuple(
            question.answers[place] for question, place in zip(self.questions, places, strict=True)
        )

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per question and answer.

        Columns: attribute, prompt, city, answer, baseline, logprob, change (nats), best_before
        and best_after (whether it is the likeliest of the question's answers).
        """
        before = self.baseline.tolist()
        after = self.logprobs.tolist()
        leads = [
            (place == was, place == now)
            for question, was, now in zip(
                self.questions,
                self.verdict.before.tolist(),
                self.verdict.after[0].tolist(),
                strict=True,
            )
            for place in range(len(question.answers))
        ]
        return pd.DataFrame(
            {
                "attribute": question.attribute,
                "prompt": question.prompt,
                "city": answer.city,
                "answer": answer.text,
                "baseline": before[row],
                "logprob": after[row],
                "change": after[row] - before[row],
                "best_before": leads[row][0],
                "best_after": leads[row][1],
            }
            for row, (question, answer) in enumerate(self.questions.answers)
        )

    @cached_property
    def top_tokens(self) -> pd.DataFrame:
        """The model's likeliest next tokens: attribute, prompt, state, rank, token, logprob."""
        return pd.DataFrame(
            {
                "attribute": question.attribute,
                "prompt": question.prompt,
                "state": state,
                "rank": rank + 1,
                "token": token,
                "logprob": value,
            }
            for state, tops in (("before", self.top_before), ("after", self.top_after))
            for question, top in zip(self.questions, tops, strict=True)
            for rank, (token, value) in enumerate(top)
        )

    @cached_property
    def moved(self) -> dict[str, bool]:
        """Per attribute whether the likeliest candidate is now the target's and was not before."""
        moved = self.verdict.moved[0].tolist()
        return dict(zip(self.questions.attributes, moved, strict=True))

    @cached_property
    def sentence(self) -> str:
        """What the edit did, in words."""
        return in_words(self.source.label, self.verdict)

    @cached_property
    def asked_about(self) -> str:
        """The name in the questions; empty where they are all a person's own."""
        if self.source.name is None and self.questions.attributes == (CUSTOM,):
            return ""
        return self.source.about

    @cached_property
    def why_asked(self) -> str:
        """Why the questions are about what they are, in a sentence; empty for a name."""
        if self.source.name is not None or not self.asked_about:
            return ""
        label, about = self.source.label, self.asked_about
        none, one = ("is", "it is") if len(self.source.latents) == 1 else ("are", "one of them is")
        if any(about in answer.cities for _, answer in self.questions.answers):
            return f"{label} {none} no city: asked about {about}, on whose name {one} most active."
        return f"{label} {none} no city: asked about “{about}”, the word {one} most active on."

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said beside the numbers, a sentence each."""
        why = (self.why_asked,) if self.why_asked else ()
        return why + remarks(self.source, self.target, self.questions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: the numbers, the edit, and what they came from."""
        before, after = self.baseline.tolist(), self.logprobs.tolist()
        attributes = [
            {
                "attribute": question.attribute,
                "prompt": question.prompt,
                "answers": [
                    {
                        "city": answer.city,
                        "answer": answer.text,
                        "logprob": after[row],
                        "baseline": before[row],
                    }
                    for row, answer in enumerate(question.answers, part.start)
                ],
                "moved": self.moved[question.attribute],
            }
            for question, part in zip(self.questions, self.questions.slices, strict=True)
        ]
        return {
            "attributes": attributes,
            "sentence": self.sentence,
            "source": {"label": self.source.label, "latents": list(self.source.latents)},
            "target": {"label": self.target.label, "latents": list(self.target.latents)},
            "asked_about": self.asked_about,
            "remarks": list(self.remarks),
            "edit": self.edit.to_dict(),
            "units": UNITS,
            **asdict(self.provenance),
        }


_CLAUSES = {
    "country": ("is in {}", "stays in {}"),
    "language": ("speaks {}", "still speaks {}"),
    "continent": ("lies in {}", "stays in {}"),
    "currency": ("pays with the {}", "still pays with the {}"),
}


def in_words(name: str, verdict: Verdict, row: int = 0) -> str:
    """What one of the judged edits did to the answers about somebody, as a sentence."""
    after = verdict.after[row].tolist()
    now, still, same = list[str](), list[str](), list[str]()
    for question, old, new in zip(verdict.questions, verdict.before.tolist(), after, strict=True):
        attribute, answer = question.attribute, question.answers[new].text
        same.append(_clause(attribute, answer, False))
        (still if new == old else now).append(_clause(attribute, answer, new == old))
    if not now:
        return f"{name} is unchanged: it {_listed(same)}."
    text = f"{name} now {_listed(now)}".replace("now is ", "is now ", 1)
    return f"{text}; it {_listed(still)}." if still else f"{text}."


def _clause(attribute: str, answer: str, kept: bool) -> str:
    now, still = _CLAUSES.get(attribute, ("is answered with “{}”", "is still answered with “{}”"))
    return (still if kept else now).format(answer)


def _listed(clauses: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; a verb that repeats is said once."""
    shorter: list[str] = []
    for clause in clauses:
        if shorter and clause.startswith("stays ") and shorter[-1].startswith("stays "):
            clause = clause.removeprefix("stays ")
        shorter.append(clause)
    return " and ".join([", ".join(shorter[:-1]), shorter[-1]] if len(shorter) > 1 else shorter)
