"""Side effects of an edit: what it changes on neutral text and on other cities' facts.

Shapes: R rows of text, T positions, D = d_model, V vocabulary, A answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metasae.lab.city_questions import BYSTANDER
from metasae.lab.lab import Lab
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel
from metasae.lm.prefill import Prefilled
from metasae.lm.token_tree import TokenTree
from metasae.sources.records import to_values
from metasae.steering.conditions import ALWAYS, Condition
from metasae.steering.edit_space import CompiledEdit, Firing
from metasae.steering.edits import Edit, EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.holding import fires, reached
from metasae.steering.prompt_set import PreparedPrompts
from metasae.steering.questions import Question, Subject
from metasae.text.prompts import fill

WITH_CITY: tuple[str, ...] = (
    "The train to {city} leaves from the second platform at half past nine.",
    "Her brother works for a bakery in {city} and gets up before four.",
    "When the letter from {city} arrived, nobody was at home to open it.",
    "They walked through {city} for hours and never found the little bookshop.",
    "In {city} the team lost its last match by a single point.",
    "Our flight was delayed, so we reached {city} long after the shops had closed.",
    "The library of {city} lends tools and board games as well as novels.",
    "A storm passed over {city} last night and broke several windows.",
    "He keeps an old map of {city} above his desk and looks at it when he is tired.",
    "Most people in {city} take the bus, because parking is difficult.",
    "The engineer from {city} explained why the bridge had to be repainted.",
    "I once met a painter in {city} who only used three colours.",
)
"""Neutral sentences that mention the source once, with something to predict after it."""

WITHOUT_CITY: tuple[str, ...] = (
    "The kettle was still warm when she came back from the garden.",
    "If the dough is too dry, add a spoonful of water and knead it again.",
    "He had forgotten the password, so he wrote to the support desk.",
    "Most of the apples were picked before the first frost.",
    "The second chapter explains how the experiment was set up.",
    "My neighbour repairs bicycles in his spare time and never charges much.",
    "Please send the form back by Friday, signed on both pages.",
    "A heavy door separates the kitchen from the rest of the house.",
    "They could not agree on a name for the dog until the very last day.",
    "The river is low at this time of the year, and boats stay in the harbour.",
    "She plays the violin on Mondays and the drums whenever she is angry.",
    "Nothing in the report suggests that the price will rise again soon.",
)
"""Neutral sentences about no place at all."""

OTHER_CITIES = 8
"""Cities that have the edited latents whose facts are asked."""

OTHERS_EVERYWHERE = 24
"""The same of an edit in every latent, which many cities can have."""


@dataclass(frozen=True)
class Divergence:
    """How far an edit moves the next-token distribution on some sentences.

    Attributes:
        mean: KL(unedited ‖ edited), in nats a token, over the positions from the first changed one
            on; a sentence the edit does not change counts with zeros at all its positions.
        largest: at one position.
        positions: what the mean is over.
        changed: sentences in which the edit changes something, of ``sentences``.
        touched: share of the tokens at which it does.
    """

    mean: float
    largest: float
    positions: int
    changed: int
    sentences: int
    touched: float


@dataclass(frozen=True)
class OtherCity:
    """Another city with some of the edited latents, under the edit wherever those fire.

    Attributes:
        activation: summed over the edited latents, as the city's record has it.
        fired: whether an edited latent fired in one of its prompts.
        known: facts the unedited model answers as it should and could lose: those on which the
            source, the target and this city do not all agree.
        lost: attributes of those facts whose likeliest answer is now the source's or the target's.
    """

    name: str
    activation: float
    fired: bool
    known: int
    lost: tuple[str, ...]


@dataclass(frozen=True)
class SideEffects:
    """What an edit did where it was to do nothing.

    Attributes:
        with_city: on neutral text about the source, edited as in use.
        without_city: on neutral text about no place, edited as in use: nothing at "last", since
            there is no name to edit.
        leak: on the same text, edited wherever the edited latents fire.
        others: cities that have edited latents, by their records; none if none do.
    """

    with_city: Divergence
    without_city: Divergence
    leak: Divergence
    others: tuple[OtherCity, ...]

    @property
    def facts(self) -> int:
        """Known facts of the other cities."""
        return sum(city.known for city in self.others)

    @property
    def held(self) -> int:
        """Those of them that still hold."""
        return self.facts - sum(len(city.lost) for city in self.others)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same in words, a sentence each."""
        said = [
            f"{what}: {100 * text.touched:.1f} % of the tokens are changed, {text.mean:z.3f} nats "
            "a token (KL divergence of the next token, unedited from edited)."
            for what, text in (
                ("Other text about the source", self.with_city),
                ("Text about no place", self.without_city),
            )
        ]
        if not self.facts:
            return (*said, "No other city of the table has an edited latent.")
        said.append(
            f"Other cities with edited latents: {len(self.others)} asked, {self.held} of "
            f"{self.facts} facts are still picked rightly."
        )
        lost = [f"{one.name} ({', '.join(one.lost)})" for one in self.others if one.lost]
        return (*said, f"Lost: {', '.join(lost)}.") if lost else tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; divergences in nats a token."""
        return to_values(self) | {"facts": self.facts, "held": self.held}


def kl(before: Float[Tensor, "N V"], after: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """KL(before ‖ after) in nats, from logits."""
    was, now = before.log_softmax(-1), after.log_softmax(-1)
    # What rounding leaves below zero is zero.
    return (was.exp() * (was - now)).sum(-1).clamp(min=0.0)


@dataclass(frozen=True)
class _Text:
    """Rows of tokens run unedited, and where an edit may act.

    Attributes:
        usable: real positions that are neither the start token's nor massive activations.
        trees: the rows' tokens; positions are slots of them.
    """

    prefilled: Prefilled
    firing: Firing
    usable: Bool[Tensor, "R T"]
    trees: tuple[TokenTree, ...]

    def holds(self, when: Condition, model: LanguageModel) -> Bool[Tensor, "R T"]:
        """Where an edit's condition holds."""
        come = [
            reached(when, model, tree)[slots.clamp(max=len(tree) - 1)]
            for tree, slots in zip(self.trees, self.prefilled.slots, strict=True)
        ]
        return torch.stack(come) & fires(when, self.firing.source).view(self.usable.shape)

    def fires(self, compiled: CompiledEdit) -> Bool[Tensor, "R T"]:
        """Where some latent fires that is edited: one of the source's, or of all."""
        acts = self.firing.source
        if compiled.everywhere is not None:
            acts = compiled.everywhere.firing(self.firing.resid)
        return (acts > 0).any(-1).view(self.usable.shape) & self.usable

    def edited(
        self, compiled: CompiledEdit, where: Bool[Tensor, "R T"]
    ) -> tuple[Bool[Tensor, "R T"], Float[Tensor, "R T D"]]:
        """Where an edit changes the residual stream, and the hidden states after the last block.

        Args:
            where: positions it is made at.
        """
        resid = self.prefilled.resid
        change = compiled.change(self.firing).view(resid.shape) * where[..., None]
        changed = change.any(-1)
        rows = changed.any(1).nonzero()[:, 0]
        hidden = self.prefilled.final.clone()
        if len(rows):
            hidden[rows] = self.prefilled.finish((resid + change)[rows], rows)
        return changed, hidden

    def divergence(self, compiled: CompiledEdit, where: Bool[Tensor, "R T"]) -> Divergence:
        """What an edit does to the predictions at and after the first place it changes."""
        changed, hidden = self.edited(compiled, where)
        real = self.prefilled.real
        after = (changed.cumsum(1) > 0) & real
        unembed = self.prefilled.blocks.unembed
        places = zip(self.prefilled.final[after].split(64), hidden[after].split(64), strict=True)
        values = torch.cat([kl(unembed(was), unembed(now)) for was, now in places])
        untouched = ~changed.any(1)
        positions = len(values) + int(real[untouched].sum())
        return Divergence(
            mean=float(values.sum()) / positions,
            largest=float(values.max()) if len(values) else 0.0,
            positions=positions,
            changed=int((~untouched).sum()),
            sentences=len(changed),
            touched=int(changed.sum()) / int(real.sum()),
        )


class OtherCities:
    """Other cities that have some latents, and what they lose by an edit; asked unedited once.

    Args:
        latents: that are edited.
        most: cities, those on which they are most active.
    """

    def __init__(
        self, lab: Lab, experiment: Experiment, latents: Sequence[int], most: int = OTHER_CITIES
    ) -> None:
        self.lab, self.experiment = lab, experiment
        self.latents, self.most = tuple(latents), most

    @cached_property
    def sharing(self) -> dict[str, float]:
        """Cities whose records hold some of the latents, and how strongly they fire."""
        mine = set(self.latents)
        activation = {
            record.name: sum(one.activation for one in record.latents if one.latent in mine)
            for record in self.lab.records.values()
            if record.name != self.experiment.source.name
        }
        strongest = sorted(activation, key=lambda name: (-activation[name], name))[: self.most]
        return {name: activation[name] for name in strongest if activation[name] > 0}

    @cached_property
    def facts(self) -> list[tuple[str, Question]]:
        """The known facts of those cities, each asked with its own answer first."""
        facts = []
        for name in self.sharing:
            about = Subject(name, name, (), ())
            bystander = self.experiment.source.name or BYSTANDER
            known = self.lab.records[name].known
            for question in self.lab.questions(about, self.experiment.target, bystander):
                if known[question.attribute] and len(question.answers) > 1:
                    facts.append((name, question))
        return facts

    @cached_property
    def _asked(self) -> tuple[PreparedPrompts, _Text]:
        other = self.experiment.replaced(
            source=replace(self.experiment.source, name=None),
            questions=[question for _, question in self.facts],
        )
        prepared = other.prepared(EditOptions(position="all"))
        prompts = prepared.prompts
        text = _Text(prompts.prefilled, prepared.firing, prepared.touched[None], (prompts.tree,))
        return prompts, text

    @cached_property
    def _answers_before(self) -> Float[Tensor, " A"]:
        prompts, text = self._asked
        return prompts.read(text.prefilled.final[:, prompts.only])[0]

    def under(self, compiled: CompiledEdit, when: Condition = ALWAYS) -> tuple[OtherCity, ...]:
        """What they lose under an edit made wherever those latents fire and a condition holds."""
        fired: set[str] = set()
        known: dict[str, list[str]] = {name: [] for name in self.sharing}
        lost: dict[str, list[str]] = {name: [] for name in self.sharing}
        if self.facts:
            prompts, text = self._asked
            counts = [len(question.answers) for _, question in self.facts]
            before = after = self._answers_before
            touched = text.fires(compiled) & text.holds(when, self.experiment.model)
            if touched.any():
                _, hidden = text.edited(compiled, touched)
                after = prompts.read(hidden[:, prompts.only])[0]
            rows = zip(
                self.facts, prompts.seen, before.split(counts), after.split(counts), strict=True
            )
            for (name, question), seen, was, now in rows:
                if (touched[0] & seen).any():
                    fired.add(name)
                if int(was.argmax()) == 0:
                    known[name].append(question.attribute)
                    if int(now.argmax()) != 0:
                        lost[name].append(question.attribute)
        return tuple(
            OtherCity(name, activation, name in fired, len(known[name]), tuple(lost[name]))
            for name, activation in self.sharing.items()
        )


class SideEffectProbe:
    """Measures side effects of one experiment's edits; neutral text and other cities' questions run
    unedited once, whatever the number of edits."""

    def __init__(self, lab: Lab, experiment: Experiment) -> None:
        self.lab, self.experiment = lab, experiment

    @cached_property
    def _about(self) -> tuple[str, ...]:
        """`WITH_CITY` about what the source is about."""
        experiment = self.experiment
        name = experiment.source.about or BYSTANDER
        return tuple(fill(sentence, name) for sentence in WITH_CITY)

    @cached_property
    def _with_city(self) -> _Text:
        return self._text(self._about)

    @cached_property
    def _on_name(self) -> Bool[Tensor, "R T"]:
        """Where an edit at "last" acts; places are counted from the first token of the text."""
        only = torch.zeros_like(self._with_city.usable)
        for row, sentence in enumerate(self._about):
            only[row, self.experiment.edit_position(sentence) - 1] = True
        return only & self._with_city.usable

    @cached_property
    def _others_of_source(self) -> OtherCities:
        return OtherCities(self.lab, self.experiment, self.experiment.source.latents)

    @cached_property
    def _without_city(self) -> _Text:
        return self._text(WITHOUT_CITY)

    def _text(self, sentences: Sequence[str]) -> _Text:
        model = self.experiment.model
        rows = [TokenTree.line(model.prompt_tokens(sentence)) for sentence in sentences]
        prefilled = model.prefill(rows, [[1]] * len(rows))
        resid = prefilled.resid
        usable = prefilled.real & not_massive(resid.norm(dim=-1), self.experiment.median_norm)
        firing = self.experiment.firing(resid.flatten(0, 1))
        return _Text(prefilled, firing, usable, tuple(rows))

    def side_effects(self, edit: Edit) -> SideEffects:
        """What an edit does to neutral text and to other cities.

        Raises:
            UserError: when the edit does not fit the experiment.
        """
        compiled = self.experiment.compiled(edit)
        others = self._others_of_source
        if compiled.everywhere is not None:
            latents = tuple(compiled.everywhere.latents.tolist())
            others = OtherCities(self.lab, self.experiment, latents, OTHERS_EVERYWHERE)
        about, elsewhere = self._with_city, self._without_city
        everywhere = edit.options.position == "all"
        when, model = edit.options.when, self.experiment.model
        here, there = about.holds(when, model), elsewhere.holds(when, model)
        acted = about.usable if everywhere else self._on_name
        return SideEffects(
            with_city=about.divergence(compiled, acted & here),
            without_city=elsewhere.divergence(compiled, elsewhere.usable & everywhere & there),
            leak=elsewhere.divergence(compiled, elsewhere.fires(compiled) & there),
            others=others.under(compiled, when),
        )
