"""Whose answer an edit brings about, worked out no further than it takes to tell.

A *side* is a set of answers, such as those right about the source. Two questions are asked of it:
does it lead, that is, is one of its answers the likeliest of all about the attribute; and does the
model write one, each of its tokens the likeliest of the whole vocabulary? Every answer's
log-probability is kept between two bounds that are drawn closer until both are told:

- No text is likelier than its beginning. So only the first tokens are looked at to begin with, and
  an answer of several tokens is read on only where it may still decide something.
- A look in bf16 leaves `OFF` nats on either side of what it says. Where that tells nothing, the
  same prompt is looked at once more in fp32.

What is told is what fp32 tells of all answers, as long as bf16 is within those bounds. Whatever is
looked at twice tests them: where one look contradicts another, bf16 is given up for the source.

Shapes: G sides, N edits, E edited places, Q prompts, A answers of all prompts, a of one, W answer
tokens, P places they follow, U different tokens after places, D = d_model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.blocks import Blocks
from metasae.ravel.tails import Answered, Tails
from metasae.steering.questions import Questions

OFF = 0.25
"""Nats by which a log-probability may be off in bf16; `benchmarks.ravel` counts verdicts that are
wrong all the same."""

ROUNDING = 1e-3
"""Nats within which two ways to the same fp32 number differ."""

_PROBES = 256
"""Tokens likeliest after a place unedited; an edited model's likeliest is mostly one of them."""

_UNSEEN = 0.02
"""Share of the probability by which a sampled sum over the vocabulary may be off."""


@dataclass(frozen=True)
class Judged:
    """What became of the sides under some edits.

    Attributes:
        leads: the likeliest of all answers to a prompt is one of the side's.
        says: the model writes an answer of the side by itself.
        nats: log-probabilities of all answers; NaN where it took none to tell.
        exact: where they are fp32's; elsewhere bf16 was enough to tell.
    """

    leads: Bool[Tensor, "G N Q"]
    says: Bool[Tensor, "G N Q"]
    nats: Float[Tensor, "N A"]
    exact: Bool[Tensor, "N A"]

    @staticmethod
    def of(
        questions: Questions, sides: Bool[Tensor, "G N A"], answered: Answered, exact: Tensor
    ) -> "Judged":
        """What log-probabilities tell, and what is written."""
        leads, says = [], []
        parts = (questions.split(one) for one in (answered.logprobs, answered.says, sides))
        for nats, written, mine in zip(*parts, strict=True):
            best = nats.argmax(1)
            leads.append(mine[:, torch.arange(len(nats)), best])
            says.append((mine & written).any(2))
        return Judged(torch.stack(leads, 2), torch.stack(says, 2), answered.logprobs, exact)

    def edits(self, which: Int[Tensor, " n"]) -> "Judged":
        """Some edits."""
        return Judged(
            self.leads[:, which], self.says[:, which], self.nats[which], self.exact[which]
        )


@dataclass(frozen=True)
class _Look:
    """What one look at a prompt or all tells.

    Attributes:
        nats: of every answer, as far as it was read.
        written, missed: that each token is the likeliest of all; that one isn't.
    """

    nats: Float[Tensor, "N A"]
    written: Bool[Tensor, "N A"]
    missed: Bool[Tensor, "N A"]


@dataclass
class _Bounds:
    """What is known of every answer under every edit.

    Attributes:
        low, high: of its log-probability.
        written, missed: as in `_Look`, of the whole answer.
        nats: what the last look said of the whole answer; NaN where none did.
        exact: whether that look was in fp32.
        screened: whether looks in bf16 come first, which may be contradicted.
    """

    low: Float[Tensor, "N A"]
    high: Float[Tensor, "N A"]
    written: Bool[Tensor, "N A"]
    missed: Bool[Tensor, "N A"]
    nats: Float[Tensor, "N A"]
    exact: Bool[Tensor, "N A"]
    screened: bool

    @staticmethod
    def of(count: int, answers: int, screened: bool) -> "_Bounds":
        """Nothing is known yet."""
        none = torch.zeros(count, answers, dtype=torch.bool)
        nats = torch.zeros(count, answers)
        low, unknown = nats - torch.inf, nats + torch.nan
        return _Bounds(low, nats, none, none.clone(), unknown, none.clone(), screened)

    def open(
        self, sides: Bool[Tensor, "G N a"], part: slice, read: Bool[Tensor, "N a"]
    ) -> tuple[Bool[Tensor, " N"], Bool[Tensor, "N a"]]:
        """Under which edits a prompt is not settled, and which answers to read whole to tell.

        Args:
            part: the prompt's answers.
            read: those that are read already.
        """
        low, high = self.low[:, part], self.high[:, part]
        written, missed = self.written[:, part], self.missed[:, part]
        may_lead = high >= low.amax(1, keepdim=True)
        inside = low.masked_fill(~sides, -torch.inf).amax(2, keepdim=True)
        outside = high.masked_fill(sides, -torch.inf).amax(2, keepdim=True)
        undecided = (sides & may_lead).any(2, keepdim=True) & (inside <= outside)
        # One answer that is written is enough for its side.
        unsaid = sides & ~(written | missed) & ~(sides & written).any(2, keepdim=True)
        unsettled = (undecided & sides & may_lead) | unsaid
        on = unsettled.any(0) & ~read
        # The sides first: then fewer of the others may still lead.
        others = may_lead & ~sides.any(0) & ~read & undecided.any(0)
        return unsettled.any(0).any(1), torch.where(on.any(1, keepdim=True), on, others)

    def note(
        self,
        look: _Look,
        rows: Int[Tensor, " n"],
        part: slice,
        whole: Bool[Tensor, "n a"],
        tokens: Int[Tensor, " a"],
        rough: Blocks | None,
    ) -> None:
        """Draw the bounds closer by what a look tells.

        Args:
            whole: answers that were read whole; of the others the first token was.
            tokens: number of tokens of each.

        Raises:
            _Contradicted: where fp32 tells otherwise than bf16 did.
        """
        off = OFF * torch.where(whole, tokens, 1) if rough is not None else torch.zeros(())
        low, high = self.low[rows, part], self.high[rows, part]
        if rough is None:
            may_lead = high >= low.amax(1, keepdim=True)
            outside = (look.nats < low - ROUNDING) | (whole & (look.nats > high + ROUNDING))
            written, missed = self.written[rows, part], self.missed[rows, part]
            other = (look.written & whole & missed) | (look.missed & written)
            if self.screened and (may_lead & outside | other).any():
                raise _Contradicted
            self.exact[rows, part] |= whole
            low = torch.where(whole, look.nats, low)
            high = torch.where(whole, look.nats, high.minimum(look.nats))
        else:
            low = torch.where(whole, low.maximum(look.nats - off), low)
            high = high.minimum(look.nats + off)
        self.low[rows, part], self.high[rows, part] = low, high
        self.nats[rows, part] = torch.where(whole, look.nats, self.nats[rows, part])
        self.written[rows, part] |= look.written & whole
        self.missed[rows, part] |= look.missed


class _Contradicted(Exception):
    """A look in fp32 tells otherwise than one in bf16 did."""


@dataclass(frozen=True)
class Judge:
    """Looks at a source's prompts under some edits.

    Attributes:
        questions: the prompts with all answers.
        tokens: number of tokens of every answer.
        beginnings: all prompts with the first token of every answer.
        read_on: makes some prompts, by number, with some answers whole, of the others the first
            token.
    """

    questions: Questions
    tokens: Int[Tensor, " A"]
    beginnings: Tails
    read_on: Callable[[Sequence[int], Bool[Tensor, " A"]], Tails]

    def judged(
        self,
        changes: Float[Tensor, "N E D"],
        sides: Bool[Tensor, "G N A"],
        rough: Blocks | None = None,
    ) -> Judged:
        """What becomes of the sides.

        Args:
            rough: blocks in bf16, which look first.
        """
        bounds = _Bounds.of(len(changes), len(self.tokens), rough is not None)
        try:
            for number, blocks in enumerate([rough, None] if rough is not None else [None]):
                self._look_closer(changes, sides, bounds, blocks, first=number == 0)
        except _Contradicted:
            return self.judged(changes, sides)
        # Where one side leads, its lower bound is the highest; where none does, another's is.
        told = Judged.of(self.questions, sides, Answered(bounds.low, bounds.written), bounds.exact)
        return replace(told, nats=bounds.nats)

    def _look_closer(
        self,
        changes: Float[Tensor, "N E D"],
        sides: Bool[Tensor, "G N A"],
        bounds: _Bounds,
        rough: Blocks | None,
        first: bool,
    ) -> None:
        """Look at what is open in one precision, until it tells nothing more.

        Args:
            first: whether nothing was looked at yet.
        """
        looked = torch.full((len(changes), len(self.questions)), first)
        read = (self.tokens == 1).repeat(len(changes), 1)
        if first:
            look = _look(self.beginnings, changes, rough)
            bounds.note(
                look,
                torch.arange(len(changes)),
                slice(0, len(self.tokens)),
                read,
                self.tokens,
                rough,
            )
        while True:
            wanted = []
            for number, part in enumerate(self.questions.slices):
                open_, on = bounds.open(sides[..., part], part, read[:, part])
                rows = (open_ & (on.any(1) | ~looked[:, number])).nonzero()[:, 0]
                if len(rows):
                    wanted.append((number, rows, on[rows].any(0)))
            if not wanted:
                return
            tails = self._prompts({number: on for number, _, on in wanted})
            for number, rows, on in wanted:
                part = self.questions.slices[number]
                look = _look(tails[number], changes[rows], rough)
                whole = on | (self.tokens[part] == 1)
                bounds.note(look, rows, part, whole.expand(len(rows), -1), self.tokens[part], rough)
                looked[rows, number] = True
                read[rows, part] |= on

    def _prompts(self, whole: dict[int, Bool[Tensor, " a"]]) -> dict[int, Tails]:
        """Prompts by number, each by itself, with some answers whole."""
        slices = self.questions.slices
        made = {n: self.beginnings.alone(n, slices[n]) for n, on in whole.items() if not on.any()}
        further = [n for n in whole if n not in made]
        if further:
            every = torch.zeros(len(self.tokens), dtype=torch.bool)
            for number in further:
                every[slices[number]] = whole[number]
            together, begin = self.read_on(further, every), 0
            for place, number in enumerate(further):
                end = begin + len(whole[number])
                made[number] = together.alone(place, slice(begin, end))
                begin = end
        return made


def _look(tails: Tails, changes: Float[Tensor, "N E D"], rough: Blocks | None) -> _Look:
    if rough is None:
        found = tails.answered(changes)
        return _Look(found.logprobs, found.says, ~found.says)
    prepared = tails.prepared
    after = prepared.unedited_next
    places, width = after.shape
    likely = after.topk(min(_PROBES, width)).indices + torch.arange(places)[:, None] * width
    codes = torch.cat([prepared.which * width + prepared.token, likely.flatten()])
    codes, back = codes.unique(return_inverse=True)
    place, back = codes // width, back[: len(prepared.which)]
    quick = tails.to(rough)
    next_tokens = rough.next_tokens(place, codes % width)
    looks = []
    for some in quick.batches(changes):
        picked = next_tokens(quick.prepared.finished(quick.added(some)))
        top, gone = _tops(picked, place.expand_as(picked), places)
        nats, lacking, missed = (
            prepared.summed(one[:, back].float()) for one in (picked, ~top, gone)
        )
        looks.append(_Look(nats, lacking == 0, missed > 0))
    return _Look(
        torch.cat([one.nats for one in looks]),
        torch.cat([one.written for one in looks]),
        torch.cat([one.missed for one in looks]),
    )


def _tops(
    picked: Float[Tensor, "N U"], place: Int[Tensor, "N U"], places: int
) -> tuple[Bool[Tensor, "N U"], Bool[Tensor, "N U"]]:
    """Which tokens are the likeliest at their place for sure, and which are not for sure.

    A token that nobody looked at is at most as likely as all such together.
    """
    none = torch.full((len(picked), places), -torch.inf)
    best = none.scatter_reduce(1, place, picked, "amax")
    first = picked == best.gather(1, place)
    second = none.scatter_reduce(1, place, picked.masked_fill(first, -torch.inf), "amax")
    alone = torch.zeros_like(none).scatter_add(1, place, first.float()) == 1
    second = torch.where(alone, second, best)
    unseen = 1 - torch.zeros_like(none).scatter_add(1, place, picked.exp())
    rival = torch.maximum(second, (unseen.clamp(min=0) + _UNSEEN).log())
    top = first & (picked - rival.gather(1, place) > 2 * OFF)
    return top, best.gather(1, place) - picked > 2 * OFF
