"""Which answer leads, before and after: the one place where edits are judged.

There are two meanings of "moved". By the usual one the target's answer leads *the candidates*. By
the *strict* one the model itself would say it, too: of all next tokens there are, those of the
answer are the likeliest, one after the other.

Shapes: N edits, Q questions, A answers of all questions, a answers of one question.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.steering.own_words import OwnTokens
from metasae.steering.questions import Questions

OTHER = -1
"""Code of an edit after which some question's leading answer is neither the target's nor the one
that led before."""

OTHER_TEXT = "other"
"""How `OTHER` stands in tables, in place of a `pattern_text`."""

MEANING = "moves: the target's answer leads the candidates, which another led before"
"""Of a pattern's bits, as every listing says it."""

STRICT_MEANING = (
    "moves: the target's answer leads the candidates and is what the model itself would say; stays:"
    " what leads and what the model itself would say are as before"
)
"""The same of a strict search."""


def leading(scores: Float[Tensor, "*N a"]) -> tuple[Int[Tensor, "*N"], Float[Tensor, "*N"]]:
    """The likeliest of a question's answers, and its lead over the next one.

    Returns:
        Its place among the question's answers (the first of equals), and nats; infinite where
        there is no other answer.
    """
    first = scores.argmax(-1)
    rest = scores.scatter(-1, first[..., None], -torch.inf)
    return first, scores.gather(-1, first[..., None])[..., 0] - rest.amax(-1)


@dataclass(frozen=True)
class Verdict:
    """Which answers lead under some edits, beside the unedited model's.

    Attributes:
        questions: what was asked.
        before: place of the answer that leads unedited, among each question's answers.
        after: the same under each edit.
        lead: of the leading answer over the next candidate, in nats; infinite without another.
        moved: whether the target's answer leads now and another led before; of a strict verdict,
            and the model itself would say it.
        kept: whether the answer that led before leads; of a strict verdict, and what the model
            itself would say is what it was, a candidate or not.
        unscored: edits whose scores are NaN: nothing was left of a direction.
    """

    questions: Questions
    before: Int[Tensor, " Q"]
    after: Int[Tensor, "N Q"]
    lead: Float[Tensor, "N Q"]
    moved: Bool[Tensor, "N Q"]
    kept: Bool[Tensor, "N Q"]
    unscored: Bool[Tensor, " N"]

    @cached_property
    def pattern(self) -> np.ndarray:
        """For each edit a bit per question, set where it moved; `OTHER` where one neither moved
        nor was kept."""
        bits = 1 << np.arange(len(self.questions))
        codes: np.ndarray = (self.moved.numpy() * bits).sum(1)
        strayed = ~(self.moved | self.kept).all(1) | self.unscored
        codes[strayed.numpy()] = OTHER
        return codes

    @cached_property
    def margin(self) -> np.ndarray:
        """For each edit the smallest lead over the questions, in nats."""
        smallest: np.ndarray = self.lead.amin(1).numpy()
        return smallest


def verdict(
    questions: Questions,
    before: Float[Tensor, " A"],
    after: Float[Tensor, "N A"],
    target: str,
    own: tuple[OwnTokens, OwnTokens] | None = None,
) -> Verdict:
    """Judge edits by the likeliest candidate answer of every question.

    Args:
        before: the unedited model's log-probability of every answer, in nats.
        after: the same under each edit.
        target: whose answers an edit is to bring about.
        own: what the model itself goes on with, unedited and under each edit: the verdict is the
            strict one.
    """
    targets = questions.split(questions.belonging_to(target))
    was, now, lead, moved, kept = [], [], [], [], []
    for number, (mine, old, new) in enumerate(
        zip(targets, questions.split(before), questions.split(after), strict=True)
    ):
        led = old.argmax()
        leads, by = leading(new)
        was.append(led)
        now.append(leads)
        lead.append(by)
        moves, stays = (leads != led) & mine[leads], leads == led
        if own is not None:
            unedited, edited = own
            says = questions.split(edited.says)[number]
            moves &= says.gather(-1, leads[:, None])[:, 0]
            stays &= edited.top[:, number] == unedited.top[number]
            stays &= says[:, led] == questions.split(unedited.says)[number][led]
        moved.append(moves)
        kept.append(stays)
    return Verdict(
        questions=questions,
        before=torch.stack(was),
        after=torch.stack(now, dim=1),
        lead=torch.stack(lead, dim=1),
        moved=torch.stack(moved, dim=1),
        kept=torch.stack(kept, dim=1),
        unscored=after.isnan().any(1),
    )


def pattern_bits(code: int, count: int) -> tuple[bool, ...]:
    """For each of so many questions whether it moved, from a pattern's code."""
    return tuple(bool(code >> bit & 1) for bit in range(count))


def pattern_code(moved: Iterable[bool | int]) -> int:
    """The code of a pattern, from whether each question moved."""
    return sum(int(one) << bit for bit, one in enumerate(moved))


def pattern_text(moved: Iterable[bool]) -> str:
    """A 0 or 1 per question in order, 1 where it moved: how a pattern stands in tables."""
    return "".join(str(int(one)) for one in moved)


def pattern_name(questions: Questions, code: int) -> dict[str, bool]:
    """A pattern's bits by attribute."""
    return dict(zip(questions.attributes, pattern_bits(code, len(questions)), strict=True))
