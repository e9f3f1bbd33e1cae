"""What a model itself goes on with after each question, whatever the candidates.

Shapes: N edits, Q questions, A answers of all questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.steering.questions import Questions


@dataclass(frozen=True)
class OwnTokens:
    """What a model itself goes on with, unedited or under some edits.

    Attributes:
        top: id of the likeliest of all next tokens after each question's prompt.
        says: which answers the model writes by itself: each of their tokens is the likeliest of
            all, given those before it.
    """

    top: Int[Tensor, "*N Q"]
    says: Bool[Tensor, "*N A"]


@dataclass(frozen=True)
class OwnWord:
    """What a model itself goes on with after one question, as text.

    Attributes:
        text: the candidate answer that it writes by itself, or else its likeliest next token.
        logprob: log-probability of that text, in nats.
        baseline: the same unedited.
        answer: whether it is one of the candidates.
    """

    text: str
    logprob: float
    baseline: float
    answer: bool


def readable(token: str) -> str:
    """A token as a word in a sentence: without the space before it, and never empty."""
    word = "".join(one if one.isprintable() else " " for one in token).strip()
    if word:
        return word
    return "a new line" if "\n" in token else "a space" if token.isspace() else "an unreadable byte"


def own_words(
    questions: Questions,
    own: OwnTokens,
    leads: Sequence[int],
    top: Sequence[tuple[str, float, float]],
    scores: tuple[Float[Tensor, " A"], Float[Tensor, " A"]],
) -> tuple[OwnWord, ...]:
    """What a model itself goes on with after each question, as text.

    Args:
        leads: place among each question's answers of the one that leads: where the model writes
            two of them, one of which begins the other, the word is that one.
        top: of each question the likeliest token, its log-probability, and that unedited.
        scores: log-probability of every answer, and that unedited.
    """
    made = []
    parts = zip(*map(questions.split, (own.says, *scores)), strict=True)
    for question, place, (token, logprob, baseline), (says, after, before) in zip(
        questions, leads, top, parts, strict=True
    ):
        written = says.nonzero()[:, 0].tolist()
        if not written:
            made.append(OwnWord(readable(token), logprob, baseline, False))
            continue
        at = place if place in written else written[0]
        made.append(OwnWord(question.answers[at].text, float(after[at]), float(before[at]), True))
    return tuple(made)
