"""The table of cities with what the model knows of them and which latents are theirs, measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
        prompts = asked(model, city.name, own)
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
        rivals = {attribute: texts for attribute, texts in rivals.items() if texts}
        known = dict.fromkeys(ATTRIBUTES, True)
        if rivals:
            against = asked(model, city.name, rivals)
            parts = against.questions.split(against.baseline)
            for attribute, rival in zip(rivals, parts, strict=True):
                known[attribute] = bool(scores[attribute].max() >= rival.max())
        answered.append(Knowledge(likeliest, known))
        progress("Asking the model about the cities", (number + 1) / len(cities), city.name)
    return answered


def asked(model: LanguageModel, name: str, answers: Mapping[str, tuple[str, ...]]) -> PromptSet:
    """The questions about a name, each with some answers."""
    questions = [
        Question(
            attribute,
            fill(QUESTIONS[attribute], name),
            tuple(Answer((name,), text) for text in texts),
        )
        for attribute, texts in answers.items()
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
) -> list[CityRecord]:
    """The cities with their latents ranked by activation, selectivity and causal effect.

    Args:
        known: see `knowledge`.
        reference: the cities among them.
    """
    made = []
    for number, city in enumerate(cities):
        knows = known[number]

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
                latents=ranked(reference, city.name, reference.activations(city.name), effects),
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
