"""Any name is looked up by the rule of the table's cities."""

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.claims import claims
from metasae.lab.lab import Lab
from metasae.lab.looked_up import MOST_TOKENS, believed, looked_up
from metasae.lab.name_latents import activation_table
from metasae.lm.language_model import LanguageModel
from metasae.text.cities import ATTRIBUTES, distinct_answers, load_cities
from metasae.text.prompts import QUESTIONS, fill
from tests.builders import one_sentence
from tests.oracle import answer_logprobs


def test_a_typed_name_has_the_latents_of_the_rule(small_lab: Lab) -> None:
    model, sae = small_lab.model, small_lab.decomposition.sae
    record = looked_up(model, sae, small_lab.reference, "hamster", small_lab.median_norm)
    active = activation_table(model, sae, ["hamster"], small_lab.median_norm)[0]
    expected = claims(small_lab.reference, "hamster", active)
    assert [one.latent for one in record.latents] == [one.latent for one in expected]
    assert [one.own for one in record.latents] == [one.own for one in expected]
    assert not record.in_table and not any(record.known.values())


def test_a_city_of_the_table_comes_out_the_same_when_it_is_looked_up(small_lab: Lab) -> None:
    name = small_lab.city_names()[0]
    model, sae = small_lab.model, small_lab.decomposition.sae
    record = looked_up(model, sae, small_lab.reference, name, small_lab.median_norm)
    known = small_lab.record(name)
    assert known.in_table
    assert record.chosen[0].latent == known.chosen[0].latent
    assert record.chosen[0].activation == pytest.approx(known.chosen[0].activation, abs=2e-3)


def test_what_is_believed_is_the_likeliest_of_the_tables_answers(
    small_model: LanguageModel,
) -> None:
    facts, answers = believed(small_model, "hamster")
    for attribute in ATTRIBUTES:
        forms = list(dict.fromkeys(city.answers(attribute)[0] for city in load_cities()))
        assert sorted(forms) == list(distinct_answers(attribute))
        prompt = fill(QUESTIONS[attribute], "hamster")
        scores = torch.tensor(
            [float(answer_logprobs(small_model, prompt, [form])) for form in forms]
        )
        assert answers[attribute] == forms[int(scores.argmax())]
        assert facts[attribute] in {getattr(city, attribute) for city in load_cities()}


def test_what_is_no_name_is_refused(small_lab: Lab) -> None:
    for text in ("", "  ", "…", "!?"):
        with pytest.raises(UserError) as raised:
            small_lab.record(text)
        assert "is no name" in one_sentence(raised)
    with pytest.raises(UserError) as raised:
        small_lab.record("very " * (2 * MOST_TOKENS) + "long")
    assert "tokens long" in one_sentence(raised)


def test_a_name_is_looked_up_once(small_lab: Lab) -> None:
    assert small_lab.record("hamster") is small_lab.record(" hamster ")
    assert small_lab.record("Hamster").name == "Hamster"
