"""Whose answer a model gives, worked out no further than it takes to tell.

A *side* is a set of answers, such as those right about the source. Two questions are asked of it:
does it lead, that is, is one of its answers the likeliest of all about the attribute; and does the
model write one, each of its tokens the likeliest of the whole vocabulary?

No text is likelier than its beginning. So only the first tokens are looked at to begin with, and an
answer of several tokens is read whole only where it may still decide something: what is told is
what all answers read whole would tell.

Shapes: G sides, N edits, Q prompts, A answers of all prompts, a of one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.ravel.tails import Answered
from metasae.steering.questions import Questions


@dataclass(frozen=True)
class Judged:
    """What became of the sides under some edits.

    Attributes:
        leads: the likeliest of all answers to a prompt is one of the side's.
        says: the model writes an answer of the side by itself.
        nats: log-probabilities of all answers; NaN where it took none to tell.
    """

    leads: Bool[Tensor, "G N Q"]
    says: Bool[Tensor, "G N Q"]
    nats: Float[Tensor, "N A"]

    @staticmethod
    def of(questions: Questions, sides: Bool[Tensor, "G N A"], answered: Answered) -> "Judged":
        """What log-probabilities tell, and what is written."""
        leads, says = [], []
        parts = (questions.split(one) for one in (answered.logprobs, answered.says, sides))
        for nats, written, mine in zip(*parts, strict=True):
            best = nats.argmax(1)
            leads.append(mine[:, torch.arange(len(nats)), best])
            says.append((mine & written).any(2))
        return Judged(torch.stack(leads, 2), torch.stack(says, 2), answered.logprobs)

    def edits(self, which: Int[Tensor, " n"]) -> "Judged":
        """Some edits."""
        return Judged(self.leads[:, which], self.says[:, which], self.nats[which])


@dataclass(frozen=True)
class Wanted:
    """What is to be read whole of one prompt.

    Attributes:
        edits: under which, by number.
    """

    edits: Int[Tensor, " n"]
    answers: Bool[Tensor, " a"]


ReadOn = Callable[[Mapping[int, Wanted]], Mapping[int, Answered]]
"""Reads answers of some prompts, by number, whole; what it says of the others is not looked at."""


@dataclass
class Bounds:
    """What is known of every answer under every edit.

    Attributes:
        low, high: of its log-probability.
        written, missed: that each token is the likeliest of all; that one isn't.
        read: whether it was read whole.
    """

    low: Float[Tensor, "N A"]
    high: Float[Tensor, "N A"]
    written: Bool[Tensor, "N A"]
    missed: Bool[Tensor, "N A"]
    read: Bool[Tensor, "N A"]

    @staticmethod
    def of(first: Answered, whole: Bool[Tensor, "N A"]) -> "Bounds":
        """What is known once the first token of every answer was looked at.

        Args:
            first: log-probability of each first token, and whether it is the likeliest of all.
            whole: answers that have no other token.
        """
        unknown = torch.full_like(first.logprobs, -torch.inf)
        return Bounds(
            low=torch.where(whole, first.logprobs, unknown),
            high=first.logprobs.clone(),
            written=first.says & whole,
            missed=~first.says,
            read=whole.clone(),
        )

    def note(
        self,
        found: Answered,
        edits: Int[Tensor, " n"],
        part: slice,
        whole: Bool[Tensor, " a"],
    ) -> None:
        """Keep what was read.

        Args:
            part: the prompt's answers.
            whole: those that were read.
        """
        for bound in (self.low, self.high):
            bound[edits, part] = torch.where(whole, found.logprobs, bound[edits, part])
        self.written[edits, part] |= found.says & whole
        self.missed[edits, part] |= ~found.says & whole
        self.read[edits, part] |= whole

    def open(self, sides: Bool[Tensor, "G N a"], part: slice) -> Bool[Tensor, "N a"]:
        """Which answers of a prompt are to be read whole to tell what becomes of the sides.

        Args:
            part: the prompt's answers.
        """
        low, high, read = self.low[:, part], self.high[:, part], self.read[:, part]
        written, missed = self.written[:, part], self.missed[:, part]
        may_lead = high >= low.amax(1, keepdim=True)
        inside = low.masked_fill(~sides, -torch.inf).amax(2, keepdim=True)
        outside = high.masked_fill(sides, -torch.inf).amax(2, keepdim=True)
        undecided = (sides & may_lead).any(2, keepdim=True) & (inside <= outside)
        # One answer that is written is enough for its side.
        unsaid = sides & ~(written | missed) & ~(sides & written).any(2, keepdim=True)
        on = ((undecided & sides & may_lead) | unsaid).any(0) & ~read
        # The sides first: then fewer of the others may still lead.
        others = may_lead & ~sides.any(0) & ~read & undecided.any(0)
        return torch.where(on.any(1, keepdim=True), on, others)


def judged(
    questions: Questions, sides: Bool[Tensor, "G N A"], bounds: Bounds, read_on: ReadOn
) -> Judged:
    """What becomes of the sides.

    Args:
        bounds: what is known; drawn closer by what is read.
    """
    while True:
        wanted = {}
        for number, part in enumerate(questions.slices):
            on = bounds.open(sides[..., part], part)
            if len(edits := on.any(1).nonzero()[:, 0]):
                wanted[number] = Wanted(edits, on.any(0))
        if not wanted:
            break
        for number, found in read_on(wanted).items():
            one = wanted[number]
            bounds.note(found, one.edits, questions.slices[number], one.answers)
    # Where one side leads, its lower bound is the highest; where none does, another's is.
    told = Judged.of(questions, sides, Answered(bounds.low, bounds.written))
    return replace(told, nats=bounds.low.where(bounds.read, torch.nan))
