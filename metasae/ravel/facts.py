"""Which facts the unedited model gets right, by two rules, and which names and templates are kept.

A fact is right **greedily** when every token of an accepted answer is the likeliest of the whole
vocabulary, given those before it; it is right **by choice** when an accepted answer has the highest
log-probability, summed over its tokens, among all answers about its attribute. What is scored is
right by both, so that doing nothing moves no answer by either rule.

As in RAVEL, templates and then names are kept that the model gets right often enough. The names by
which templates are judged are of the training split.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import pandas as pd
import torch

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress
from metasae.ravel.data import Entity, RavelData, Template
from metasae.ravel.judging import Bounds, Wanted, judged
from metasae.ravel.tails import Answered
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question, Questions
from metasae.studies.parts import Parts
from metasae.text.shares import share

_TOGETHER = 32
"""Names that are asked about with one template at once: they share its beginning."""


def right(
    model: LanguageModel,
    template: Template,
    entities: Sequence[Entity],
    answers: Sequence[str],
    least: float = 0.0,
) -> pd.DataFrame:
    """By which rules the model is right about some names, asked with one template.

    Args:
        answers: all there are about the attribute.
        least: where a smaller share is right greedily, the template can't be kept, and none is
            told apart by choice.

    Returns:
        Columns name, attribute, template, split (the name's), greedy, choice.
    """
    rows: list[dict[str, object]] = []
    for begin in range(0, len(entities), _TOGETHER):
        rows += _right(model, template, entities[begin : begin + _TOGETHER], answers, least)
    return pd.DataFrame(
        rows, columns=["name", "attribute", "template", "split", "greedy", "choice"]
    )


def _right(
    model: LanguageModel,
    template: Template,
    entities: Sequence[Entity],
    answers: Sequence[str],
    least: float,
) -> list[dict[str, object]]:
    accepted = [entity.values[template.attribute] for entity in entities]
    asked = _Asked(model, template, [template.prompt(one.name) for one in entities], accepted)
    greedy = [bool(part.any()) for part in asked.said.questions.split(asked.said.greedy)]
    choice = [False] * len(entities)
    if sum(greedy) >= least * len(greedy):
        choice = asked.lead(answers)
    return [
        {
            "name": entity.name, "attribute": template.attribute, "template": template.text,
            "split": entity.split, "greedy": said, "choice": leads,
        }
        for entity, said, leads in zip(entities, greedy, choice, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True)
class _Asked:
    """Prompts of one template, with the answers that are right about each one's name."""

    model: LanguageModel
    template: Template
    prompts: Sequence[str]
    accepted: Sequence[Sequence[str]]

    @cached_property
    def said(self) -> PromptSet:
        """The right answers, read whole."""
        return self._asked(range(len(self.prompts)), self.accepted)

    def _questions(
        self, numbers: Iterable[int], answers: Sequence[Sequence[str]]
    ) -> tuple[Question, ...]:
        about, gap = self.template.attribute, self.template.gap
        return tuple(
            Question(about, self.prompts[n], tuple(Answer((), text) for text in some), gap)
            for n, some in zip(numbers, answers, strict=True)
        )

    def _asked(self, numbers: Iterable[int], answers: Sequence[Sequence[str]]) -> PromptSet:
        return PromptSet(self.model, self._questions(numbers, answers))

    def lead(self, answers: Sequence[str]) -> list[bool]:
        """Whether one that is right is the likeliest of all, prompt by prompt."""
        tokens = {text: self.model.encode(self.template.gap + text) for text in answers}
        after = self.said.next_logprobs
        own_nats, own_says = (
            self.said.questions.split(one) for one in (self.said.baseline, self.said.greedy)
        )
        texts, nats, says, whole, mine = [], [], [], [], []
        for n, own in enumerate(self.accepted):
            rivals = [text for text in answers if text not in own and tokens[text]]
            begins = torch.tensor([tokens[text][0] for text in rivals], dtype=torch.int64)
            texts.append([*own, *rivals])
            nats.append(torch.cat([own_nats[n], after[n, begins]]))
            says.append(torch.cat([own_says[n], begins == after[n].argmax()]))
            whole += [True] * len(own) + [len(tokens[text]) == 1 for text in rivals]
            mine += [True] * len(own) + [False] * len(rivals)

        def read_on(wanted: Mapping[int, Wanted]) -> dict[int, Answered]:
            found = {}
            some = [list(compress(texts[n], one.answers)) for n, one in wanted.items()]
            read = self._asked(wanted, some)
            parts = (read.questions.split(each) for each in (read.baseline, read.greedy))
            for (n, one), logprobs, written in zip(wanted.items(), *parts, strict=True):
                nats = torch.zeros(1, len(texts[n])).masked_scatter(one.answers, logprobs)
                says = torch.zeros_like(one.answers).masked_scatter(one.answers, written)
                found[n] = Answered(nats, says[None])
            return found

        first = Answered(torch.cat(nats)[None], torch.cat(says)[None])
        bounds = Bounds.of(first, torch.tensor([whole]))
        questions = Questions(self._questions(range(len(texts)), texts))
        told = judged(questions, torch.tensor([[mine]]), bounds, read_on)
        leads: list[bool] = told.leads[0, 0].tolist()
        return leads


@dataclass(frozen=True)
class Size:
    """How much is looked at.

    Attributes:
        probed: names of the training split that templates are judged by.
        tried: templates that are judged, of each attribute and split.
        templates: of those how many are kept at most.
        names: names that are kept at most to learn from.
        held_out: names that are kept at most to be scored on.
        asked: names that are asked about at most, of each split.
        least: share of the probed names a kept template must be right about.
    """

    probed: int = 24
    tried: int = 12
    templates: int = 2
    names: int = 100
    held_out: int = 40
    asked: int = 1200
    least: float = 0.15


@dataclass(frozen=True)
class Known:
    """What the unedited model knows, and so what can be scored.

    Attributes:
        data: the kept names and templates alone.
        table: kept names × kept templates of their split, as `right` has them.
        counts: how many there were and how many remained, by rule.
        left_out: attributes the model isn't right about, a sentence each.
    """

    data: RavelData
    table: pd.DataFrame
    counts: Mapping[str, object]
    left_out: tuple[str, ...]

    def templates(self, entity: Entity) -> tuple[Template, ...]:
        """The kept templates of a name's split by which the model is right about it, by both
        rules."""
        mine = self.table[
            (self.table["name"] == entity.name) & self.table["greedy"] & self.table["choice"]
        ]
        texts = set(zip(mine["attribute"], mine["template"], strict=True))
        return tuple(
            one
            for one in self.data.templates
            if (one.attribute, one.text) in texts and one.held_out == entity.held_out
        )

    def entities(self, held_out: bool) -> tuple[Entity, ...]:
        """The kept names that edits are scored on, or those they are learned from."""
        return tuple(one for one in self.data.entities if one.held_out == held_out)


def survey(
    model: LanguageModel, data: RavelData, size: Size, parts: Parts, progress: Progress
) -> Known:
    """Ask the unedited model, and keep the templates and names it is right about often enough.

    A template is kept when it is right about at least ``size.least`` of the probed names, the best
    first; a name when at least one kept template of its split is right about it for every
    attribute; of a name that can't be kept any more nothing further is asked. Names are taken in an
    order that depends on nothing but their letters.

    Raises:
        UserError: when nothing remains.
    """
    order = sorted(data.entities, key=lambda one: share(one.name))
    templates, probes, left_out = _templates(model, data, order, size, parts, progress)
    attributes = tuple(dict.fromkeys(one.attribute for one in templates))
    tables, kept, looked = [], [], {}
    splits = ("training", False, size.names), ("held-out", True, size.held_out)
    for split, held_out, most in splits:
        some = [one for one in templates if one.held_out == held_out]
        mine = [one for one in order if one.held_out == held_out][: size.asked]
        found: list[Entity] = []
        for begin in range(0, len(mine), _TOGETHER):
            if len(found) >= most or not attributes:
                break
            chunk = mine[begin : begin + _TOGETHER]
            left = list(chunk)
            for attribute in attributes:
                about = [one for one in some if one.attribute == attribute]
                asked = pd.concat([_kept_right(model, data, one, left, parts) for one in about])
                good = set(asked.loc[asked["greedy"] & asked["choice"], "name"])
                left = [one for one in left if one.name in good]
                tables.append(asked)
                if not left:
                    break
            found += left
            enough = min(len(found), most)
            note = f"{enough} of {most} {split} names"
            progress("What the model knows", enough / most, note)
            looked[split] = begin + len(chunk)
        kept += found[:most]
    if not kept or not {True, False} == {one.held_out for one in kept}:
        raise UserError(
            f"The model is right about too little of {data.name} to score an edit: in one of the "
            "splits no name is left of which it knows every attribute; open a preset of a larger "
            "model, or give other data."
        )
    whole = pd.concat(tables, ignore_index=True)
    remaining = RavelData(data.name, tuple(kept), templates)
    table = whole[whole["name"].isin({one.name for one in kept})].reset_index(drop=True)
    return Known(remaining, table, _counts(data, remaining, probes, whole, table, looked), left_out)


def _templates(
    model: LanguageModel,
    data: RavelData,
    order: Sequence[Entity],
    size: Size,
    parts: Parts,
    progress: Progress,
) -> tuple[tuple[Template, ...], pd.DataFrame, tuple[str, ...]]:
    """The kept templates, what all that were tried are right about, and what is left out."""
    probes = [one for one in order if not one.held_out][: size.probed]
    tried = []
    for attribute in data.attributes:
        mine = sorted(
            (one for one in data.templates if one.attribute == attribute),
            key=lambda one: share(one.text),
        )
        for held_out in (False, True):
            tried += [one for one in mine if one.held_out == held_out][: size.tried]
    tables = []
    for number, one in enumerate(tried):
        tables.append(_kept_right(model, data, one, probes, parts, size.least))
        progress("Templates the model answers", (number + 1) / len(tried), one.attribute)
    told = pd.concat(tables, ignore_index=True)
    good = (told["greedy"] & told["choice"]).groupby([told["attribute"], told["template"]])
    shares: dict[tuple[str, str], float] = good.mean().to_dict()  # type: ignore[assignment]
    kept: list[Template] = []
    left_out = []
    for attribute in data.attributes:
        sides = []
        for held_out in (False, True):
            some = [
                one
                for one in tried
                if one.attribute == attribute
                and one.held_out == held_out
                and shares.get((attribute, one.text), 0.0) >= size.least
            ]
            some.sort(key=lambda one: -shares[attribute, one.text])
            sides.append(some[: size.templates])
        if all(sides):
            kept += [*sides[0], *sides[1]]
        else:
            best = max(value for (about, _), value in shares.items() if about == attribute)
            left_out.append(
                f"{attribute} is left out: the model's best template is right about {best:.0%} of "
                f"{len(probes)} names, and one in each split must be about {size.least:.0%}."
            )
    return tuple(kept), told, tuple(left_out)


def _kept_right(
    model: LanguageModel,
    data: RavelData,
    template: Template,
    entities: Sequence[Entity],
    parts: Parts,
    least: float = 0.0,
) -> pd.DataFrame:
    some = [one for one in entities if not template.gives_away(one.name)]
    name = f"right {least} {template.attribute} {template.text} {[one.name for one in some]}"
    return parts.table(name, lambda: right(model, template, some, data.answers(template.attribute)))


def _counts(
    data: RavelData,
    kept: RavelData,
    probes: pd.DataFrame,
    whole: pd.DataFrame,
    table: pd.DataFrame,
    looked: Mapping[str, int],
) -> dict[str, object]:
    """What is said of the filtering, JSON-able."""
    good = whole["greedy"] & whole["choice"]
    return {
        "rule": "right greedily over the whole vocabulary and by choice among the attribute's "
        "answers",
        "templates": {"given": len(data.templates), "tried": probes["template"].nunique(),
                      "kept": len(kept.templates)},
        "names": {"given": len(data.entities), "asked": dict(looked),
                  "kept_training": sum(not one.held_out for one in kept.entities),
                  "kept_held_out": sum(one.held_out for one in kept.entities)},
        "facts_asked": len(whole),
        "right_greedily": int(whole["greedy"].sum()),
        "right_by_choice": int(whole["choice"].sum()),
        "right_by_both": int(good.sum()),
        "facts_of_kept_names": int((table["greedy"] & table["choice"]).sum()),
        "by_attribute": {
            str(attribute): {
                "asked": len(part),
                "right_greedily": float(part["greedy"].mean()),
                "right_by_choice": float(part["choice"].mean()),
                "right_by_both": float((part["greedy"] & part["choice"]).mean()),
            }
            for attribute, part in whole.groupby("attribute", sort=False)
        },
        "kept_templates": [
            {"attribute": one.attribute, "split": one.split, "text": one.text}
            for one in kept.templates
        ],
    }  # fmt: skip
