"""The questions about a city or another name, and what latents by number are asked about."""

from collections.abc import Callable, Mapping, Sequence

from metasae.errors import UserError
from metasae.lab.city_records import Answers, CityRecord
from metasae.steering.questions import Answer, Question, Subject
from metasae.text.prompts import QUESTIONS, fill

BYSTANDER = "Cairo"
"""City whose answers stand beside the source's and target's, as in the post."""


def fired_on(
    records: Mapping[str, CityRecord],
    latents: Sequence[int],
    words_of: Callable[[int], Sequence[str]],
) -> str:
    """What some latents fire on most: a city of the table, else a word; empty if unknown.

    A city only where it is the word a latent is most active on, or the latent is the city's own:
    what fires on something else, and on a city's name a little, is not asked about that city. Where
    no words are known, the city on whose name a latent is most active stands for them.

    Args:
        words_of: the words a latent is most active on, strongest first.
    """
    words = [word for latent in latents for word in words_of(latent)[:1]]
    cities = [word for word in words if word in records]
    ranked = [
        (one.activation, record.name, one.own)
        for record in records.values()
        for one in record.latents
        if one.latent in latents
    ]
    own = [(activation, name) for activation, name, is_own in ranked if is_own]
    if cities:
        return cities[0]
    if own:
        return max(own)[1]
    if words:
        return words[0]
    return max(ranked)[1] if ranked else ""


def city_questions(
    answers: Mapping[str, Answers],
    source: Subject,
    target: Subject,
    bystander: str = BYSTANDER,
    templates: Mapping[str, str] = QUESTIONS,
) -> tuple[Question, ...]:
    """The four attributes' questions about the source, with everybody's answers.

    A source chosen by number is asked about what its latents fire on most, and never about
    the target.

    Args:
        answers: name → what is answered about it.
        templates: attribute → how it is asked.

    Raises:
        UserError: when nobody knows what the source's latents fire on, or it is the target.
    """
    own = "(--prompt and --answers; on the page, Ask your own question)"
    if not source.about:
        raise UserError(
            f"{source.label} fires on no name of the table and on no word that is known, so "
            f"there is nothing to ask about; give a prompt and answers of your own {own}."
        )
    if source.name is None and source.about == target.name:
        raise UserError(
            f"{source.label} is most active on {target.name}, which is the target already; "
            f"choose another target, or give a prompt and answers of your own {own}."
        )
    named = (source.about, target.name, bystander)
    asked = dict.fromkeys(name for name in named if name is not None and name in answers)
    questions = []
    for attribute, template in templates.items():
        # Names with the same fact share one answer, in the form the first of them has it:
        # "euro" and "Euro" are no rivals.
        whose: dict[str, list[str]] = {}
        for name in asked:
            whose.setdefault(answers[name][attribute].fact, []).append(name)
        candidates = tuple(
            Answer(tuple(names), answers[names[0]][attribute].text) for names in whose.values()
        )
        questions.append(Question(attribute, fill(template, source.about), candidates))
    return tuple(questions)
