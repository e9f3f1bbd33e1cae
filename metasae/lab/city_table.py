"""The table of cities with what the model knows of them and which latents are theirs, measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CityRecord
from metasae.lab.claims import claims, with_effects
from metasae.lab.name_latents import activation_table
from metasae.lab.reference import NameReference, reference_names
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import ATTRIBUTES, City, distinct_answers, load_cities
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
) -> tuple[list[CityRecord], NameReference]:
    """Every city of the table with what the model knows of it and its latents, and the reference.

    Args:
        median_norm: of the residual stream at the hook.
    """
    cities = load_cities()
    knows = knowledge(model, cities, progress)
    names = reference_names()
    table = activation_table(model, sae, names, median_norm, progress)
    reference = NameReference.of(names, table)
    mine = table[[names.index(city.name) for city in cities]]
    ranked = records(model, sae, cities, knows, mine, reference, median_norm, progress)
    return ranked, reference


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
    reference: NameReference,
    median_norm: float,
    progress: Progress = silent,
) -> list[CityRecord]:
    """The cities with their latents ranked by activation, selectivity and causal effect.

    Shapes: C cities, F latents.

    Args:
        known: see `knowledge`.
        table: see `name_latents.activation_table`.
    """
    ranked = []
    for number, (city, knows) in enumerate(zip(cities, known, strict=True)):
        latents = claims(reference, city.name, table[number])
        if latents:
            prompts = _asked(model, city, {name: (form,) for name, form in knows.answers.items()})
            latents = with_effects(latents, model, sae, prompts, city.name, median_norm)
        ranked.append(
            CityRecord(
                name=city.name,
                country=city.country,
                continent=city.continent,
                language=city.language,
                currency=city.currency,
                answers=knows.answers,
                known=knows.known,
                latents=latents,
            )
        )
        progress("Ranking the cities' latents", (number + 1) / len(cities), city.name)
    return ranked


def counted(cities: Sequence[CityRecord]) -> dict[str, Any]:
    """How many cities there are, have a latent of their own, and are known."""
    return {
        "total": len(cities),
        "with_latent": sum(record.has_own_latent for record in cities),
        "known_facts": {a: sum(record.known[a] for record in cities) for a in ATTRIBUTES},
        "all_four_known": sum(all(record.known.values()) for record in cities),
    }
