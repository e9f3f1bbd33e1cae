"""Prompts about a source, run as far as no edit reaches, and what is answered under many edits.

Shapes: N edits, E edited places of the source, E' of them in these prompts, Q prompts, A answers of
all prompts, T tail tokens, D = d_model.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.steering.prompt_set import PreparedPrompts

_TOKENS = 2048
"""Tail tokens of all edits that are run together."""


@dataclass(frozen=True)
class Answered:
    """What a model answers under some edits.

    Attributes:
        logprobs: of every answer, summed over its tokens, in nats.
        says: whether the model writes it by itself: each token the likeliest of all.
    """

    logprobs: Float[Tensor, "N A"]
    says: Bool[Tensor, "N A"]


@dataclass(frozen=True)
class Tails:
    """Prompts with some answers, as far as no edit reaches.

    Attributes:
        edited: tail tokens where edits act, E' of them.
        own_place: of each prompt the number of its own among them.
        places: which of the source's places each is; all in order when left out.
    """

    prepared: PreparedPrompts
    edited: Int[Tensor, " E'"]
    own_place: Int[Tensor, " Q"]
    places: Int[Tensor, " E'"] | None = None

    @staticmethod
    def of(prepared: PreparedPrompts) -> "Tails":
        """Prepared prompts, whose places are the source's."""
        edited = prepared.edited.nonzero()[:, 0]
        return Tails(prepared, edited, prepared.seen[:, edited].int().argmax(1))

    def alone(self, number: int, answers: slice) -> "Tails":
        """One of the prompts; see `PreparedPrompts.alone`."""
        made = Tails.of(self.prepared.alone(number, answers))
        place = self.own_place[number : number + 1]
        return replace(made, places=place if self.places is None else self.places[place])

    def added(self, changes: Float[Tensor, "N E D"]) -> Float[Tensor, "N T D"]:
        """What is added to every tail token."""
        some = changes if self.places is None else changes[:, self.places]
        whole = changes.new_zeros(len(changes), *self.prepared.resid.shape)
        return whole.index_copy(1, self.edited, some)

    def answered(self, changes: Float[Tensor, "N E D"]) -> Answered:
        """What the model answers, many edits at a time."""
        logprobs, says = [], []
        for some in changes.split(max(1, _TOKENS // len(self.prepared.resid))):
            picked, own = self.prepared.changed_with_own(self.added(some))
            logprobs.append(picked)
            says.append(own.says)
        return Answered(torch.cat(logprobs), torch.cat(says))
