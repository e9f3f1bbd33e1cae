"""The table of cities with what the model knows of them and which latents are theirs, measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CityRecord
from metasae.lab.name_latents import activation_table
from metasae.lab.ranking import ranked
from metasae.lab.reference_names import ReferenceNames
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.ablation import lost_without
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import ATTRIBUTES, City, distinct_answers, load_cities
from metasae.text.names import load_names
from metasae.text.prompts import QUESTIONS, fill


@dataclass(frozen=True)
class Told:
    """What a model says when it is asked for a fact.

    Attributes:
        answer: the accepted form it finds likeliest.
        pick: that form, or the other city's answer it finds likelier.
        says: whether it would write an accepted form of its own accord, token by token.
    """

    answer: str
    pick: str
    says: bool

    @property
    def known(self) -> bool:
        """Whether no other answer of the whole table is likelier."""
        return self.pick == self.answer


@dataclass(frozen=True)
class Knowledge:
    """What a model answers about a city.

    Attributes:
        answers: per attribute the accepted form the model finds likeliest.
        known: per attribute whether that is the likeliest among all cities' answers.
    """

    answers: dict[str, str]
    known: dict[str, bool]


def measured_cities(
    model: LanguageModel, sae: SparseAutoencoder, median_norm: float, progress: Progress = silent
) -> tuple[list[CityRecord], ReferenceNames]:
    """Every city of the table with what the model knows of it and its latents, and all names that
    latents are told apart by: the cities and as many others.

    Args:
        median_norm: of the residual stream at the hook.
    """
    cities = load_cities()
    knows = knowledge(model, cities, progress)
    names = [*(city.name for city in cities), *load_names()]
    table = activation_table(model, sae, names, median_norm, progress)
    reference = ReferenceNames.of(names, table)
    return records(model, sae, cities, knows, reference, median_norm, progress), reference


def knowledge(
    model: LanguageModel,
    cities: Sequence[City],
    progress: Progress = silent,
) -> list[Knowledge]:
    """Per city, what the unedited model answers about it when asked in the default wording."""
    answered = []
    for number, city in enumerate(cities):
        found = dict(zip(QUESTIONS, told(model, city, list(QUESTIONS.items())), strict=True))
        answered.append(
            Knowledge(
                {attribute: one.answer for attribute, one in found.items()},
                {attribute: one.known for attribute, one in found.items()},
            )
        )
        progress("Asking the model about the cities", (number + 1) / len(cities), city.name)
    return answered


def asked(model: LanguageModel, name: str, answers: Mapping[str, tuple[str, ...]]) -> PromptSet:
    """The questions about a name in the default wording, each with some answers."""
    return _asked(model, name, [(one, QUESTIONS[one], texts) for one, texts in answers.items()])


def told(model: LanguageModel, city: City, asked: Sequence[tuple[str, str]]) -> list[Told]:
    """What the unedited model says of a city, question by question.

    A fact is known when one of its accepted forms has a higher log-probability than every other
    answer in the whole table (all countries, all languages, …) after the question's prompt.

    Args:
        asked: attribute and template of each question; all go through the model together.
    """
    own = [city.answers(attribute) for attribute, _ in asked]
    first = _asked(
        model, city.name, [(*one, forms[:1]) for one, forms in zip(asked, own, strict=True)]
    )
    found = [{forms[0]: float(nats)} for forms, nats in zip(own, first.baseline, strict=True)]
    says = first.greedy.tolist()
    after, others = first.next_logprobs, list[tuple[str, ...]]()
    for place, (attribute, _) in enumerate(asked):
        # No answer is likelier than its first token: only those whose first token beats the city's
        # first form need their other tokens scored, and one that is written by itself is among
        # them.
        texts = [*dict.fromkeys((*own[place], *distinct_answers(attribute)))][1:]
        begins = after[place, [model.encode(" " + text)[0] for text in texts]]
        likelier = (begins > found[place][own[place][0]]).tolist()
        others.append(tuple(text for text, yes in zip(texts, likelier, strict=True) if yes))
    doubted = [place for place, texts in enumerate(others) if texts]
    if doubted:
        more = _asked(model, city.name, [(*asked[place], others[place]) for place in doubted])
        parts = zip(more.questions.split(more.baseline), more.questions.split(more.greedy),
                    strict=True)  # fmt: skip
        for place, (scores, written) in zip(doubted, parts, strict=True):
            found[place] |= dict(zip(others[place], scores.tolist(), strict=True))
            mine = [text in own[place] for text in others[place]]
            says[place] |= bool((written & torch.tensor(mine)).any())
    return [_judged(nats, forms, said) for nats, forms, said in zip(found, own, says, strict=True)]


def _judged(nats: Mapping[str, float], own: Sequence[str], says: bool) -> Told:
    """What is told by the log-probabilities of some answers; of equals the city's first form."""
    answer = max((form for form in own if form in nats), key=nats.__getitem__)
    pick = max(nats, key=nats.__getitem__)
    return Told(answer, pick if nats[pick] > nats[answer] else answer, says)


def _asked(
    model: LanguageModel, name: str, asked: Sequence[tuple[str, str, tuple[str, ...]]]
) -> PromptSet:
    """Questions about a name: attribute, template and answers of each."""
    questions = [
        Question(
            attribute,
            fill(template, name),
            tuple(Answer((name,), text) for text in texts),
        )
        for attribute, template, texts in asked
    ]
    return PromptSet(model, questions)


def records(
    model: LanguageModel,
    sae: SparseAutoencoder,
    cities: Sequence[City],
    known: Sequence[Knowledge],
    reference: ReferenceNames,
    median_norm: float,
    progress: Progress = silent,
    active: Float[Tensor, "C F"] | None = None,
) -> list[CityRecord]:
    """The cities with their latents ranked by activation, selectivity and causal effect.

    Shapes: C cities, F latents.

    Args:
        known: see `knowledge`.
        reference: the names the cities are told apart from.
        active: see `name_latents.activation_table`; left out for cities of the reference.
    """
    made = []
    for number, city in enumerate(cities):
        knows = known[number]
        mine = reference.activations(city.name) if active is None else active[number]

        def effects(
            latents: Sequence[int], name: str = city.name, knows: Knowledge = knows
        ) -> list[float]:
            prompts = asked(model, name, {a: (form,) for a, form in knows.answers.items()})
            at = [name_position(model, one.prompt, name) for one in prompts.questions]
            lost = lost_without(prompts, sae, latents, at, median_norm)
            values: list[float] = lost.mean(1).tolist()
            return values

        made.append(
            CityRecord(
                name=city.name,
                country=city.country,
                continent=city.continent,
                language=city.language,
                currency=city.currency,
                answers=knows.answers,
                known=knows.known,
                latents=ranked(reference, city.name, mine, effects),
            )
        )
        progress("Ranking the cities' latents", (number + 1) / len(cities), city.name)
    return made


def counted(cities: Sequence[CityRecord]) -> dict[str, Any]:
    """How many cities there are, have a latent of their own, and are known."""
    return {
        "total": len(cities),
        "with_latent": sum(record.has_own_latent for record in cities),
        "known_facts": {a: sum(record.known[a] for record in cities) for a in ATTRIBUTES},
        "all_four_known": sum(all(record.known.values()) for record in cities),
    }
