"""Any name, looked up on the spot: a person, a word, a phrase, a city that is in no table.

Its latents are found by the rule of the table's cities. No fact is known of it; what it is asked
about and compared by is what the model itself finds likeliest among the table's answers.
"""

from functools import cache

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.lab.claims import claims, with_effects
from metasae.lab.name_latents import activation_table
from metasae.lab.reference import NameReference
from metasae.lm.language_model import LanguageModel
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import ATTRIBUTES, load_cities
from metasae.text.prompts import QUESTIONS, fill

MOST_TOKENS = 16
"""Tokens of a name; a latent fires on its last token alone, which longer texts say little about."""


def looked_up(
    model: LanguageModel,
    sae: SparseAutoencoder,
    reference: NameReference,
    name: str,
    median_norm: float,
) -> CityRecord:
    """A name with its latents and what the model believes of it.

    Args:
        median_norm: of the residual stream at the hook.

    Raises:
        UserError: for a name that is empty, reads as no token, or is too long.
    """
    check_name(model, name)
    latents = claims(reference, name, activation_table(model, sae, [name], median_norm)[0])
    facts, answers = believed(model, name)
    if latents:
        questions = [
            Question(attribute, fill(QUESTIONS[attribute], name), (Answer((name,), text),))
            for attribute, text in answers.items()
        ]
        latents = with_effects(latents, model, sae, PromptSet(model, questions), name, median_norm)
    return CityRecord(
        name=name,
        answers=answers,
        known=dict.fromkeys(ATTRIBUTES, False),
        latents=latents,
        in_table=False,
        **facts,
    )


def check_name(model: LanguageModel, name: str) -> None:
    """Refuse what can't be looked up.

    Raises:
        UserError: for a name that is empty, reads as no token, or is too long.
    """
    if not name or not any(map(str.isalnum, name)):
        raise UserError(f'"{name[:60]}" is no name; type a city, a person, a word or a phrase.')
    count = len(model.encode(" " + name))
    if count > MOST_TOKENS:
        raise UserError(
            f'"{name[:60]}…" is {count} tokens long, and a name may have {MOST_TOKENS}; type a '
            "shorter one."
        )


def believed(model: LanguageModel, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Per attribute the table's fact the model finds likeliest of a name, and its answer's text."""
    forms = _facts()
    questions = [
        Question(
            attribute,
            fill(QUESTIONS[attribute], name),
            tuple(Answer((), text) for text in forms[attribute]),
        )
        for attribute in ATTRIBUTES
    ]
    asked = PromptSet(model, questions)
    answers = {
        attribute: tuple(forms[attribute])[int(scores.argmax())]
        for attribute, scores in zip(ATTRIBUTES, asked.questions.split(asked.baseline), strict=True)
    }
    return {attribute: forms[attribute][text] for attribute, text in answers.items()}, answers


@cache
def _facts() -> dict[str, dict[str, str]]:
    """Per attribute the canonical answers of the table with the fact each stands for."""
    return {
        attribute: {city.answers(attribute)[0]: getattr(city, attribute) for city in load_cities()}
        for attribute in ATTRIBUTES
    }
