"""The table of cities with what the model knows of them and which latents are theirs, measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CANDIDATES, OWN, CityRecord, RankedLatent
from metasae.lab.name_latents import activation_table, selectivity
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.ablation import lost_without
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import ATTRIBUTES, City, distinct_answers, load_cities
from metasae.text.prompts import QUESTIONS, fill

STRONG = 0.25
"""A latent is edited by default when it is the city's own and at least this share as active on the
name as the city's strongest own latent."""


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
) -> list[CityRecord]:
    """Every city of the table with what the model knows of it and its latents.

    Args:
        median_norm: of the residual stream at the hook.
    """
    cities = load_cities()
    knows = knowledge(model, cities, progress)
    table = activation_table(model, sae, cities, median_norm, progress)
    return records(model, sae, cities, knows, table, median_norm, progress)


def knowledge(
    model: LanguageModel,
    cities: Sequence[City],
    progress: Progress = silent,
) -> list[Knowledge]:
    """Per city, what the unedited model answers about it.

    A fact is known when one of its accepted forms has a higher log-probability than every other
    answer in the whole table (all countries, all languages, …) after the question's prompt.
    """
    first_token = {
        attribute: {text: model.encode(" " + text)[0] for text in distinct_answers(attribute)}
        for attribute in ATTRIBUTES
    }
    answered = []
    for number, city in enumerate(cities):
        own = {attribute: city.answers(attribute) for attribute in ATTRIBUTES}
        prompts = _asked(model, city, own)
        scores = dict(zip(ATTRIBUTES, prompts.questions.split(prompts.baseline), strict=True))
        likeliest = {a: own[a][int(scores[a].argmax())] for a in ATTRIBUTES}
        after = prompts.next_logprobs
        # No answer is likelier than its first token: only those whose first token beats the
        # city's own best answer need their other tokens scored.
        rivals = {
            attribute: tuple(
                text
                for text, token in first_token[attribute].items()
                if text not in own[attribute] and after[place, token] > scores[attribute].max()
            )
            for place, attribute in enumerate(ATTRIBUTES)
        }
        asked = {attribute: texts for attribute, texts in rivals.items() if texts}
        known = dict.fromkeys(ATTRIBUTES, True)
        if asked:
            against = _asked(model, city, asked)
            parts = against.questions.split(against.baseline)
            for attribute, rival in zip(asked, parts, strict=True):
                known[attribute] = bool(scores[attribute].max() >= rival.max())
        answered.append(Knowledge(likeliest, known))
        progress("Asking the model about the cities", (number + 1) / len(cities), city.name)
    return answered


def _asked(model: LanguageModel, city: City, answers: Mapping[str, tuple[str, ...]]) -> PromptSet:
    """The city's questions with some answers."""
    questions = [
        Question(
            attribute,
            fill(QUESTIONS[attribute], city.name),
            tuple(Answer((city.name,), text) for text in texts),
        )
        for attribute, texts in answers.items()
    ]
    return PromptSet(model, questions)


def records(
    model: LanguageModel,
    sae: SparseAutoencoder,
    cities: Sequence[City],
    known: Sequence[Knowledge],
    table: Float[Tensor, "C F"],
    median_norm: float,
    progress: Progress = silent,
) -> list[CityRecord]:
    """The cities with their latents ranked by activation, selectivity and causal effect.

    Shapes: C cities, F latents.

    Args:
        known: see `knowledge`.
        table: see `name_latents.activation_table`.
    """
    share = selectivity(table)
    ranked = []
    for number, city in enumerate(cities):
        knows = known[number]
        score = table[number] * share[number]
        best = score.topk(min(CANDIDATES, len(score))).indices
        candidates = [int(latent) for latent in best if table[number, latent] > 0]
        lost = torch.zeros(0, 1)
        if candidates:
            prompts = _asked(model, city, {name: (form,) for name, form in knows.answers.items()})
            at = [name_position(model, one.prompt, city.name) for one in prompts.questions]
            lost = lost_without(prompts, sae, candidates, at, median_norm)
        ranked.append(
            CityRecord(
                name=city.name,
                country=city.country,
                continent=city.continent,
                language=city.language,
                currency=city.currency,
                answers=knows.answers,
                known=knows.known,
                latents=choose(
                    [
                        RankedLatent(
                            latent=latent,
                            activation=round(float(table[number, latent]), 3),
                            selectivity=round(float(share[number, latent]), 4),
                            effect=round(float(loss), 4),
                            chosen=False,
                        )
                        for latent, loss in zip(candidates, lost.mean(1), strict=True)
                    ]
                ),
            )
        )
        progress("Ranking the cities' latents", (number + 1) / len(cities), city.name)
    return ranked


def choose(ranked: list[RankedLatent]) -> tuple[RankedLatent, ...]:
    """Mark the latents an edit uses: the city's own, else the one most active and selective."""
    own = [one for one in ranked if one.selectivity > OWN]
    strongest = max((one.activation for one in own), default=0.0)
    chosen = {one.latent for one in own if one.activation >= STRONG * strongest}
    if not chosen and ranked:
        chosen = {ranked[0].latent}
    marked = [replace(one, chosen=one.latent in chosen) for one in ranked]
    return tuple(sorted(marked, key=lambda r: (not r.chosen, -r.activation * r.selectivity)))


def counted(cities: Sequence[CityRecord]) -> dict[str, Any]:
    """How many cities there are, have a latent of their own, and are known."""
    return {
        "total": len(cities),
        "with_latent": sum(record.has_own_latent for record in cities),
        "known_facts": {a: sum(record.known[a] for record in cities) for a in ATTRIBUTES},
        "all_four_known": sum(all(record.known.values()) for record in cities),
    }
