"""How sure a model is of its answers before any edit, and whether it knows the facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite
from typing import Any

from jaxtyping import Float
from torch import Tensor

from metasae.steering.own_words import OwnWord
from metasae.steering.questions import Questions
from metasae.steering.verdict import leading

CLEAR = 0.5
"""Nats from which on an answer leads clearly; a smaller lead is a near tie."""

SURE = 0.5
"""Probability of the leading answer from which on the model is sure of it."""


@dataclass(frozen=True)
class Certainty:
    """The unedited model's answer to a question, and how sure it is.

    Attributes:
        answer: the likeliest candidate.
        probability: that the model goes on with it, 0 to 1.
        rival: the next candidate; empty without one.
        rival_probability: the same of it; 0 without one.
        lead: of the answer over the next candidate, in nats; infinite without one.
        fact: what is true; empty where nobody knows.
        instead: what the model finds likelier than the fact, among all there are and not just the
            candidates; empty where it knows the fact or nobody looked.
        own: what the model itself would say instead of the answer, whatever the candidates: one of
            them, or the first token with an ellipsis; empty where it would say the answer or nobody
            looked.
        own_probability: that it does, 0 to 1; 0 likewise.
    """

    attribute: str
    answer: str
    probability: float
    rival: str
    rival_probability: float
    lead: float
    fact: str = ""
    instead: str = ""
    own: str = ""
    own_probability: float = 0.0

    @property
    def verdict(self) -> str:
        """Whether the model is "sure", "unsure", or in a "near tie"."""
        if self.lead < CLEAR:
            return "near tie"
        return "sure" if self.probability >= SURE else "unsure"

    @property
    def text(self) -> str:
        """The same with probabilities, as half a sentence; what the model itself would say, if it
        is not the leading candidate, comes first."""
        first = f"{self.answer} {percent(self.probability)}"
        rival = f"{self.rival} {percent(self.rival_probability)}"
        if self.own:
            beside = f"; of the candidates {first}" + (f", {rival}" if self.rival else "")
            return f"the model itself says “{self.own}” {percent(self.own_probability)}{beside}"
        if self.verdict == "near tie":
            return f"a near tie: {first}, {rival}"
        if self.verdict == "sure":
            return f"the model is sure: {first}"
        return f"not sure: {first}" + (f", next of the candidates {rival}" if self.rival else "")

    @property
    def note(self) -> str:
        """That the model does not know the fact, in a sentence; empty where it does."""
        if not self.instead:
            return ""
        return (
            "The model does not know this fact: unedited it finds "
            f"{self.instead} likelier than {self.fact}."
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; a lead over nothing is None."""
        lead = self.lead if isfinite(self.lead) else None
        return vars(self) | {"lead": lead, "verdict": self.verdict}


def percent(probability: float) -> str:
    """A probability as whole percent; never 0 or 100, which it isn't."""
    if probability < 0.01:
        return "under 1 %"
    return "over 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def certainties(
    questions: Questions,
    baseline: Float[Tensor, " A"],
    about: str = "",
    instead: Mapping[str, str] | None = None,
    own: Sequence[OwnWord] | None = None,
) -> tuple[Certainty, ...]:
    """How sure the unedited model is of its answer to each question.

    Args:
        baseline: its log-probability of every answer, in nats.
        about: the name in the questions, whose own answers are the facts.
        instead: per attribute whose fact the model does not know what it finds likelier.
        own: what the unedited model itself goes on with after each question.
    """
    found = []
    words: Sequence[OwnWord | None] = own or [None] * len(questions)
    for question, scores, word in zip(questions, questions.split(baseline), words, strict=True):
        first, lead = leading(scores)
        ranked = scores.argsort(descending=True, stable=True).tolist()
        rival = next((place for place in ranked if place != int(first)), None)
        facts = [answer.text for answer in question.answers if about in answer.cities]
        fact = facts[0] if facts else ""
        unknown = (instead or {}).get(question.attribute, "")
        answer = question.answers[int(first)].text
        other = None if word is None or (word.answer and word.text == answer) else word
        found.append(
            Certainty(
                attribute=question.attribute,
                answer=answer,
                probability=exp(float(scores[first])),
                rival="" if rival is None else question.answers[rival].text,
                rival_probability=0.0 if rival is None else exp(float(scores[rival])),
                lead=inf if rival is None else float(lead),
                fact=fact,
                instead=unknown if fact else "",
                own="" if other is None else other.text if other.answer else f"{other.text}…",
                own_probability=0.0 if other is None else exp(other.logprob),
            )
        )
    return tuple(found)
