"""Thousands of edits of a name's residual, asked about with every template at once.

All prompts about one source are one row of tokens in which common beginnings stand once; the lower
layers and whatever comes before the edited tokens are computed once a source. An edit reruns the
upper layers on the tails alone, in batches of many targets and methods.

Shapes: N edits, E edited places, Q prompts, A answers of all prompts, T tail tokens, D = d_model.
"""

import functools
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
from metasae.lm.library_blocks import LibraryBlocks
from metasae.lm.names import position_before
from metasae.ravel.data import Entity, Template
from metasae.ravel.judging import Bounds, Judged, Wanted, judged
from metasae.ravel.portraits import Portrait
from metasae.ravel.tails import Answered, Tails
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.prompt_set import PreparedPrompts, PromptSet
from metasae.steering.questions import Answer, Question, Questions

Where = Literal["last", "all"]
"""At the name's last token, or at every token but the start token."""


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
        self._at = None
        if where == "last":
            self._at = [name_end(lab.model, one, source.name) for one in templates]
        self._set = PromptSet(lab.model, self.questions)

    @cached_property
    def _whole(self) -> Tails:
        """All answers, token by token."""
        return self._tails(self._set.prepare(self._at), range(len(self.templates)))

    def _tails(self, prepared: PreparedPrompts, numbers: Sequence[int]) -> Tails:
        """Some of the prompts, by number, and which of the source's places each of theirs is."""
        made = Tails.of(prepared)
        if self.where == "all":
            return made
        places = torch.empty(len(made.edited), dtype=torch.int64)
        places[made.own_place] = self._own_place[list(numbers)]
        return replace(made, places=places)

    @property
    def _source(self) -> Tails:
        # Edits everywhere act on the answers' tokens too, so there are no places without them.
        return self._whole if self.where == "all" else self._beginnings

    @cached_property
    def touched(self) -> Bool[Tensor, " E"]:
        """Edited places where no activation is massive; the others are left as they are."""
        return not_massive(self.place.rows.norm(dim=1), self._median_norm)

    @cached_property
    def place(self) -> Place:
        """Where edits of the source act."""
        tails = self._source
        return Place(self.source, tails.prepared.resid[tails.edited].clone())

    @property
    def tail(self) -> int:
        """Tokens that an edit reruns, those of the prompts alone."""
        return len(self._source.prepared.resid)

    @property
    def _own_place(self) -> Int[Tensor, " Q"]:
        """Of each prompt the number of its edited place; prompts that begin alike share one."""
        return self._source.own_place

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
        return self._whole.answered(changes * self.touched[:, None])

    def answers_of(self, entity: Entity) -> Bool[Tensor, " A"]:
        """Which answers are right about a name."""
        return torch.tensor(
            [
                answer.text in entity.values[question.attribute]
                for question, answer in self.questions.answers
            ]
        )

    def judged(self, changes: Float[Tensor, "N E D"], sides: Bool[Tensor, "G N A"]) -> Judged:
        """What became of sides of answers, worked out no further than that takes; see `judging`.

        Args:
            sides: which answers are a side's under each edit.
        """
        changes = changes * self.touched[:, None]
        if self.where == "all":
            return Judged.of(self.questions, sides, self._whole.answered(changes))
        # Edits that add the same are one.
        keys = torch.cat([changes.flatten(1), *sides.to(changes.dtype)], dim=1)
        distinct, back = keys.unique(dim=0, return_inverse=True)
        first = torch.empty(len(distinct), dtype=torch.int64)
        first[back] = torch.arange(len(changes))
        changes, sides = changes[first], sides[:, first]
        single = torch.tensor(self._set.answer_tokens) == 1
        bounds = Bounds.of(self._beginnings.answered(changes), single.expand(len(changes), -1))
        read_on = functools.partial(self._read_on, changes)
        return judged(self.questions, sides, bounds, read_on).edits(back)

    @cached_property
    def _beginnings(self) -> Tails:
        """Every prompt with the first token of every answer."""
        return Tails.of(self._set.prepare(self._at, [1] * len(self._set.answer_tokens)))

    def _read_on(
        self, changes: Float[Tensor, "N E D"], wanted: Mapping[int, Wanted]
    ) -> dict[int, Answered]:
        """See `judging.ReadOn`; of the other answers the first token is read."""
        whole = [one for each in wanted.values() for one in each.answers.tolist()]
        together, found, begin = self._some(list(wanted), whole), {}, 0
        for place, (number, one) in enumerate(wanted.items()):
            end = begin + len(one.answers)
            mine = together.alone(place, slice(begin, end))
            found[number] = mine.answered(changes[one.edits])
            begin = end
        return found

    def _some(self, numbers: Sequence[int], whole: Sequence[bool]) -> Tails:
        """Some prompts, by number, with some of their answers whole, of the others the first token.

        Args:
            whole: which of all answers of these prompts.
        """
        longest = max(self._set.answer_tokens)
        at = None if self._at is None else [self._at[n] for n in numbers]
        chosen = PromptSet(self._model, [self.questions[n] for n in numbers])
        prepared = chosen.prepare(at, [longest if one else 1 for one in whole])
        return self._tails(prepared, numbers)

    @cached_property
    def _differentiable(self) -> PreparedPrompts:
        upper = range(self._model.hook_layer, self._model.n_layers)
        blocks = LibraryBlocks(self._model.hf, upper, differentiable=True)
        prepared = self._whole.prepared
        return replace(prepared, prefilled=prepared.prefilled.differentiable(blocks))

    def differentiable(self, changes: Float[Tensor, "N E D"]) -> Float[Tensor, "N A"]:
        """Log-probabilities as `changed` has them, through which gradients flow to the changes."""
        prepared = self._differentiable
        resid = prepared.prefilled.resid + self._whole.added(changes * self.touched[:, None])
        hidden = prepared.prefilled.finish(resid, only=prepared.only)
        return prepared.answers(prepared.next_logprobs(hidden))


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
