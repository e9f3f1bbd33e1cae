"""Which facts the unedited model gets right, by two rules, and which names and templates are kept.

A fact is right **greedily** when every token of an accepted answer is the likeliest of the whole
vocabulary, given those before it; it is right **by choice** when an accepted answer has the highest
log-probability, summed over its tokens, among all answers about its attribute. What is scored is
right by both, so that doing nothing moves no answer by either rule.

As in RAVEL, templates and then names are kept that the model gets right often enough. The names by
which templates are judged are of the training split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.lm.token_tree import PromptWithContinuations, shared_prefix_tree
from metasae.progress import Progress
from metasae.ravel.data import Entity, RavelData, Template
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
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
    asked = PromptSet(
        model,
        [
            Question(
                template.attribute,
                template.prompt(entity.name),
                tuple(Answer((), text) for text in own),
                template.gap,
            )
            for entity, own in zip(entities, accepted, strict=True)
        ],
    )
    totals = [float(part.max()) for part in asked.questions.split(asked.baseline)]
    greedy = [bool(part.any()) for part in asked.questions.split(asked.greedy)]
    lost = [True] * len(entities)
    if sum(greedy) >= least * len(greedy):
        tokens = {text: tuple(model.encode(template.gap + text)) for text in answers}
        rivals = [[tokens[text] for text in answers if text not in own] for own in accepted]
        prompts = [model.prompt_tokens(template.prompt(entity.name)) for entity in entities]
        lost = _beaten(model, prompts, rivals, totals, asked.next_logprobs)
    return [
        {
            "name": entity.name, "attribute": template.attribute, "template": template.text,
            "split": entity.split, "greedy": said, "choice": not beaten,
        }
        for entity, said, beaten in zip(entities, greedy, lost, strict=True)
    ]  # fmt: skip


_Begun = tuple[int, tuple[int, ...]]
"""Number of a prompt, and the first tokens of a rival."""


def _beaten(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    rivals: Sequence[Sequence[tuple[int, ...]]],
    totals: Sequence[float],
    after_prompts: Float[Tensor, "Q V"],
) -> list[bool]:
    """Whether some rival of a prompt's answer is at least as likely as it.

    No text is likelier than its beginning, so only beginnings that are likely enough are read on:
    of those there are few, however many rivals there are.

    Args:
        rivals: token ids of each prompt's.
        totals: log-probability of each prompt's answer.
        after_prompts: log-probabilities of the next token.
    """
    beaten = [False] * len(prompts)
    read: dict[_Begun, Tensor] = {(n, ()): nats for n, nats in enumerate(after_prompts)}
    so_far: dict[_Begun, float] = dict.fromkeys(read, 0.0)
    while read:
        further: dict[_Begun, float] = {}
        for number, own in enumerate(rivals):
            for rival in own:
                for length in range(len(rival)):
                    begin = (number, rival[:length])
                    if begin in read:
                        nats = so_far[begin] + float(read[begin][rival[length]])
                        if nats >= totals[number] and length + 1 == len(rival):
                            beaten[number] = True
                        elif nats >= totals[number]:
                            further[number, rival[: length + 1]] = nats
        so_far = {key: nats for key, nats in further.items() if not beaten[key[0]]}
        texts = [[*prompts[number], *begin] for number, begin in so_far]
        read = dict(zip(so_far, _next(model, texts), strict=True)) if texts else {}
    return beaten


def _next(model: LanguageModel, texts: Sequence[Sequence[int]]) -> Float[Tensor, "Q V"]:
    """Log-probabilities of the token after each of some rows of tokens."""
    tree, grown = shared_prefix_tree([PromptWithContinuations(one) for one in texts])
    prefilled = model.prefill([tree], [range(1, len(tree))])
    slots = prefilled.slots[0].tolist()
    ends = [slots.index(one.path[-1]) for one in grown]
    return prefilled.blocks.unembed(prefilled.final[0, ends]).log_softmax(-1)


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
    judged = pd.concat(tables, ignore_index=True)
    good = (judged["greedy"] & judged["choice"]).groupby([judged["attribute"], judged["template"]])
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
    return tuple(kept), judged, tuple(left_out)


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
