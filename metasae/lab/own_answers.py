"""What a model itself answers when a name without facts is asked about like a city."""

from metasae.lab.city_records import Answers, Told
from metasae.lab.city_table import asked
from metasae.lm.language_model import LanguageModel
from metasae.text.cities import ATTRIBUTES, distinct_answers, facts_by_answer

_BEGINNINGS = 3
"""Answers with the likeliest first tokens that are scored before the others are ruled out."""


def own_answers(model: LanguageModel, name: str) -> Answers:
    """Per attribute the answer the model finds likeliest of all the table's."""
    texts = {attribute: distinct_answers(attribute) for attribute in ATTRIBUTES}
    after = asked(model, name, {a: some[:1] for a, some in texts.items()}).next_logprobs
    first = {
        attribute: {text: float(after[row, model.encode(" " + text)[0]]) for text in some}
        for row, (attribute, some) in enumerate(texts.items())
    }
    tried = {
        attribute: tuple(sorted(begins, key=lambda text: -begins[text])[:_BEGINNINGS])
        for attribute, begins in first.items()
    }
    scores = _scores(model, name, tried)
    # No answer is likelier than its first token.
    rest = {
        attribute: tuple(
            text
            for text, nats in first[attribute].items()
            if nats > max(scores[attribute].values()) and text not in scores[attribute]
        )
        for attribute in ATTRIBUTES
    }
    more = _scores(model, name, {a: some for a, some in rest.items() if some})
    told = {}
    for attribute in ATTRIBUTES:
        whole = scores[attribute] | more.get(attribute, {})
        text = max(whole, key=lambda one: whole[one])
        told[attribute] = Told(facts_by_answer(attribute)[text], text)
    return told


def _scores(
    model: LanguageModel, name: str, answers: dict[str, tuple[str, ...]]
) -> dict[str, dict[str, float]]:
    """Log-probability of every answer, by attribute."""
    if not answers:
        return {}
    prompts = asked(model, name, answers)
    parts = prompts.questions.split(prompts.baseline)
    return {
        attribute: dict(zip(texts, part.tolist(), strict=True))
        for (attribute, texts), part in zip(answers.items(), parts, strict=True)
    }
