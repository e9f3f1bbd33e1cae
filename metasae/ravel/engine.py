"""Thousands of edits of a name's residual, asked about with every template at once.

All prompts about one source are one row of tokens in which common beginnings stand once; the lower
layers and whatever comes before the edited tokens are computed once a source. An edit reruns the
upper layers on the tails alone, in batches of many targets and methods.

Shapes: N edits, E edited places, Q prompts, A answers of all prompts, T tail tokens, D = d_model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel, padded
from metasae.lm.library_blocks import DifferentiableBlocks
from metasae.lm.names import position_before
from metasae.ravel.data import Template
from metasae.ravel.portraits import Portrait
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.prompt_set import PreparedPrompts, PromptSet
from metasae.steering.questions import Answer, Question, Questions

Where = Literal["last", "all"]
"""At the name's last token, or at every token but the start token."""

_TOKENS = 2048
"""Tail tokens of all edits that are run together."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a source's edits act.

    Attributes:
        source: who is edited.
        rows: unedited residual stream there.
    """

    source: Portrait
    rows: Float[Tensor, "E D"]

    def activations(self, sae: SparseAutoencoder) -> Float[Tensor, "E F"]:
        """How the latents of an SAE fire there."""
        if id(sae) not in self._encoded:
            self._encoded[id(sae)] = (sae, sae.encode(self.rows))
        return self._encoded[id(sae)][1]

    @cached_property
    def _encoded(self) -> dict[int, tuple[SparseAutoencoder, Tensor]]:
        return {}


@dataclass(frozen=True, eq=False)
class Pair:
    """A source where it is edited, and a target.

    Attributes:
        read_target: reads what `on_target` is, on first use.
    """

    place: Place
    target: Portrait
    read_target: Callable[[], Float[Tensor, "E D"]] | None = None

    @cached_property
    def on_target(self) -> Float[Tensor, "E D"]:
        """Residual stream on the target's last token in the same prompts, row by row.

        Raises:
            UserError: where edits act at every token, of which the target has others.
        """
        if self.read_target is None:
            raise UserError("The target's own residual stands at its last token alone.")
        return self.read_target()

    @property
    def source(self) -> Portrait:
        """Who is edited."""
        return self.place.source

    @property
    def rows(self) -> Float[Tensor, "E D"]:
        """Unedited residual stream where the edit acts."""
        return self.place.rows


@dataclass(frozen=True)
class Answered:
    """What a model answers under some edits.

    Attributes:
        logprobs: of every answer, summed over its tokens, in nats.
        says: whether the model writes it by itself: each token the likeliest of all.
    """

    logprobs: Float[Tensor, "N A"]
    says: Bool[Tensor, "N A"]


class Asked:
    """Every prompt about one source, run as far as no edit reaches.

    Args:
        answers: attribute → its candidate answers.

    Raises:
        UserError: for a name of which the model reads nothing.
    """

    def __init__(
        self,
        lab: Lab,
        source: Portrait,
        templates: Sequence[Template],
        answers: Mapping[str, Sequence[str]],
        where: Where = "last",
    ) -> None:
        self.source, self.templates, self.where = source, tuple(templates), where
        self._model, self._median_norm = lab.model, lab.median_norm
        self.questions = Questions(
            tuple(
                Question(
                    one.attribute,
                    one.prompt(source.name),
                    tuple(Answer((), text) for text in answers[one.attribute]),
                    one.gap,
                )
                for one in templates
            )
        )
        at = None
        if where == "last":
            at = [name_end(lab.model, one, source.name) for one in templates]
        self.prepared = PromptSet(lab.model, self.questions).prepare(at)

    @cached_property
    def _edited(self) -> Int[Tensor, " E"]:
        return self.prepared.edited.nonzero()[:, 0]

    @cached_property
    def touched(self) -> Bool[Tensor, " E"]:
        """Edited places where no activation is massive; the others are left as they are."""
        return not_massive(self.place.rows.norm(dim=1), self._median_norm)

    @cached_property
    def place(self) -> Place:
        """Where edits of the source act."""
        return Place(self.source, self.prepared.resid[self._edited].clone())

    @cached_property
    def _own_place(self) -> Int[Tensor, " Q"]:
        """Of each prompt the number of its edited place; prompts that begin alike share one."""
        return self.prepared.seen[:, self._edited].int().argmax(1)

    def pair(self, target: Portrait) -> Pair:
        """The source and a target."""
        if self.where == "all":
            return Pair(self.place, target)

        def read() -> Float[Tensor, "E D"]:
            rows = torch.zeros_like(self.place.rows)
            rows[self._own_place] = last_token_residuals(self._model, self.templates, target.name)
            return rows

        return Pair(self.place, target, read)

    def changed(self, changes: Float[Tensor, "N E D"]) -> Answered:
        """What the model answers when something is added where edits act."""
        batch = max(1, _TOKENS // len(self.prepared.edited))
        logprobs, says = [], []
        for some in changes.split(batch):
            picked, own = self.prepared.changed_with_own(self._everywhere(some))
            logprobs.append(picked)
            says.append(own.says)
        return Answered(torch.cat(logprobs), torch.cat(says))

    def _everywhere(self, changes: Float[Tensor, "N E D"]) -> Float[Tensor, "N T D"]:
        whole = changes.new_zeros(len(changes), *self.prepared.resid.shape)
        return whole.index_copy(1, self._edited, changes * self.touched[:, None])

    @cached_property
    def _differentiable(self) -> PreparedPrompts:
        upper = range(self._model.hook_layer, self._model.n_layers)
        blocks = DifferentiableBlocks(self._model.hf, upper)
        return replace(self.prepared, prefilled=self.prepared.prefilled.differentiable(blocks))

    def differentiable(self, changes: Float[Tensor, "N E D"]) -> Float[Tensor, "N A"]:
        """Log-probabilities as `changed` has them, through which gradients flow to the changes."""
        prepared = self._differentiable
        resid = prepared.prefilled.resid + self._everywhere(changes)
        hidden = prepared.prefilled.finish(resid, only=prepared.only)
        nats = prepared.prefilled.blocks.unembed(hidden).log_softmax(-1)
        picked = nats[:, prepared.which, prepared.token]
        return picked.new_zeros(len(picked), prepared.count).index_add(1, prepared.answer, picked)


def name_end(model: LanguageModel, template: Template, name: str) -> int:
    """Position, the start token counted, of the token on which a name ends in a prompt.

    Raises:
        UserError: when the model reads nothing of the name.
    """
    position = None
    if name.strip():
        position = position_before(model, template.prompt(name), template.name_end(name))
    if position is None:
        raise UserError(f'{model.name} reads nothing of "{name}"; give a name of letters.')
    return position


def last_token_residuals(
    model: LanguageModel, templates: Sequence[Template], name: str
) -> Float[Tensor, "Q D"]:
    """Residual stream at the hook on a name's last token, in each prompt."""
    at = [name_end(model, one, name) for one in templates]
    # What comes after the name changes nothing on it.
    rows = [
        model.prompt_tokens(one.prompt(name))[: place + 1]
        for one, place in zip(templates, at, strict=True)
    ]
    resid = model.residual(padded(rows, model.start_token))
    return resid[torch.arange(len(rows)), torch.tensor(at)].clone()
