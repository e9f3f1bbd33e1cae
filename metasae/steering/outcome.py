"""What one edit did, beside the unedited model: as tables and in words.

Log-probabilities are in nats; an answer's is the sum over its tokens, each given those before it.

Shapes: Q questions, A answers of all questions, in the questions' order.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.sources.versions import EDIT
from metasae.steering.edit_space import Piece
from metasae.steering.edits import Edit
from metasae.steering.own_words import OwnTokens, OwnWord, own_words
from metasae.steering.provenance import Provenance
from metasae.steering.questions import CUSTOM, Answer, Questions, Subject, remarks
from metasae.steering.sentences import told
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
        top_baseline: unedited log-probability of the token that is the likeliest after the edit,
            of each question, in nats.
        tokens_before, tokens_after: what the model itself goes on with.
        marked: each question's prompt, cut before and after what is edited in it; the middle is
            empty where every token is, or none.
        missed: attributes on whose prompt and answers the edit's condition holds nowhere.
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
    top_baseline: Float[Tensor, " Q"]
    tokens_before: OwnTokens
    tokens_after: OwnTokens
    marked: tuple[tuple[str, str, str], ...]
    provenance: Provenance
    missed: tuple[str, ...] = ()

    @cached_property
    def verdict(self) -> Verdict:
        """Which answers lead the candidates after the edit, beside the unedited model's."""
        return verdict(self.questions, self.baseline, self.logprobs[None], self.target.label)

    @cached_property
    def leading_before(self) -> tuple[Answer, ...]:
        """For each question the likeliest candidate of the unedited model."""
        return self._answers_at(self.verdict.before.tolist())

    @cached_property
    def leading_after(self) -> tuple[Answer, ...]:
        """For each question the likeliest candidate after the edit."""
        return self._answers_at(self.verdict.after[0].tolist())

    @cached_property
    def own_before(self) -> tuple[OwnWord, ...]:
        """What the unedited model itself goes on with after each question."""
        top = [(*tokens[0], tokens[0][1]) for tokens in self.top_before]
        return own_words(
            self.questions, self.tokens_before, self.verdict.before.tolist(), top,
            (self.baseline, self.baseline),
        )  # fmt: skip

    @cached_property
    def own_after(self) -> tuple[OwnWord, ...]:
        """What the edited model itself goes on with after each question."""
        top = [
            (*tokens[0], unedited)
            for tokens, unedited in zip(self.top_after, self.top_baseline.tolist(), strict=True)
        ]
        return own_words(
            self.questions, self.tokens_after, self.verdict.after[0].tolist(), top,
            (self.logprobs, self.baseline),
        )  # fmt: skip

    def _answers_at(self, places: Sequence[int]) -> tuple[Answer, ...]:
        return tuple(
            question.answers[place] for question, place in zip(self.questions, places, strict=True)
        )

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per question and answer.

        Columns: attribute, prompt, city, answer, baseline, logprob, change (nats), best_before
        and best_after (whether it is the likeliest of the question's answers), says_before and
        says_after (whether the model itself would write it, of all there is to write).
        """
        before = self.baseline.tolist()
        after = self.logprobs.tolist()
        says = self.tokens_before.says.tolist(), self.tokens_after.says.tolist()
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
                "says_before": says[0][row],
                "says_after": says[1][row],
            }
            for row, (question, answer) in enumerate(self.questions.answers)
        )

    @cached_property
    def asked(self) -> pd.DataFrame:
        """One row per question, with what the edited model itself goes on with.

        Columns: attribute, prompt, before, edited and after (the prompt in three parts, the second
        of which is edited; empty where all of it is), own (a candidate answer, or else the
        likeliest next token), own_answer (which of the two), own_baseline, own_logprob (nats).
        """
        return pd.DataFrame(
            {
                "attribute": question.attribute,
                "prompt": question.prompt,
                "before": before,
                "edited": edited,
                "after": after,
                "own": own.text,
                "own_answer": own.answer,
                "own_baseline": own.baseline,
                "own_logprob": own.logprob,
            }
            for question, (before, edited, after), own in zip(
                self.questions, self.marked, self.own_after, strict=True
            )
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
    def sentences(self) -> tuple[str, ...]:
        """What the edit did, in words: first what the model itself says now and still, then where
        an answer does no more than lead the candidates."""
        leads = self.verdict.before.tolist(), self.verdict.after[0].tolist()
        return told(self.source, self.questions, leads, (self.own_before, self.own_after))

    @property
    def sentence(self) -> str:
        """All `sentences` as one text."""
        return " ".join(self.sentences)

    def against(self, pinned: "Outcome") -> pd.DataFrame:
        """This edit beside another one of the same questions: one row per question and answer.

        Columns: attribute, prompt, city, answer, pinned, logprob, difference (nats, from the
        pinned edit to this one).

        Raises:
            ValueError: for an outcome of other questions.
        """
        if pinned.questions != self.questions:
            raise ValueError("Two edits are compared on the same questions.")
        table = self.answers[["attribute", "prompt", "city", "answer", "logprob"]].copy()
        table.insert(4, "pinned", pinned.answers["logprob"])
        table["difference"] = table["logprob"] - table["pinned"]
        return table

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
        said = tuple(filter(None, (self.why_asked, self._left_out, self._untouched)))
        return said + remarks(self.source, self.target, self.questions)

    @property
    def _left_out(self) -> str:
        """What of an edit in every latent takes no part, in a sentence; empty without any."""
        added = {piece.meta for piece in self.pieces if piece.side == "target"}
        if (
            not self.edit.options.everywhere
            or not added & dict(self.edit.without_swap().strengths).keys()
        ):
            return ""
        return (
            f"In every latent only {self.source.label}'s pieces are changed: {self.target.label}'s "
            "own can't be added to latents that lack them and are left out."
        )

    @property
    def _untouched(self) -> str:
        """Where the edit's condition holds nowhere, in a sentence; empty without any."""
        if not self.missed:
            return ""
        about = "any question"
        if len(self.missed) < len(self.questions.attributes):
            about = f"the questions about {' or '.join(self.missed)}"
        return f"The edit's condition holds on no token of {about}: nothing is edited there."

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
                "own_before": asdict(was),
                "own": asdict(own),
            }
            for question, part, was, own in zip(
                self.questions,
                self.questions.slices,
                self.own_before,
                self.own_after,
                strict=True,
            )
        ]
        return {
            **EDIT.stamp,
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
