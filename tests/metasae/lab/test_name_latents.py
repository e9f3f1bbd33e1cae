"""Where a name stands in a prompt, and how much of a latent is one city's."""

import re

import pytest
import torch

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.lab.city_table import _choose
from metasae.lab.name_latents import residuals_on_names, selectivity
from metasae.lm.language_model import LanguageModel, padded
from metasae.lm.names import name_position
from tests.builders import city_record, one_sentence


def test_selectivity_by_hand() -> None:
    table = torch.tensor([[3.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    expected = torch.tensor([[0.75, 0.0, 0.25], [0.25, 0.0, 0.25], [0.0, 0.0, 0.5]])
    torch.testing.assert_close(selectivity(table), expected)


def test_padded_fills_on_the_right() -> None:
    assert padded([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]


def ranked(latent: int, activation: float, share: float) -> RankedLatent:
    return RankedLatent(latent, activation, share, 0.0, False)


def test_a_citys_own_strong_latents_are_chosen() -> None:
    found = _choose(
        [
            ranked(1, 40.0, 0.3),  # strong, but not its own
            ranked(2, 10.0, 0.9),
            ranked(3, 2.6, 0.8),  # more than a quarter of the strongest own one
            ranked(4, 2.4, 0.9),  # less
            ranked(5, 9.0, 0.5),  # exactly half is not its own
        ]
    )
    assert [one.latent for one in found if one.chosen] == [2, 3]
    # The chosen first, then by activation × selectivity: 12, 4.5, 2.16.
    assert [one.latent for one in found] == [2, 3, 1, 5, 4]


def test_without_an_own_latent_the_best_is_chosen() -> None:
    found = _choose([ranked(7, 10.0, 0.4), ranked(8, 20.0, 0.1)])
    assert [one.latent for one in found if one.chosen] == [7]
    assert _choose([]) == ()


def test_has_own_latent_is_more_than_half() -> None:
    record = city_record("Tokyo", "Japan")
    for share, own in ((0.5, False), (0.51, True)):
        changed = CityRecord(**(vars(record) | {"latents": (ranked(1, 1.0, share),)}))
        assert changed.has_own_latent is own


def test_a_record_survives_its_dictionary() -> None:
    record = city_record("Tokyo", "Japan", 3, 5)
    assert CityRecord.from_dict(record.to_dict()) == record


# With the real tokenizer.


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Tokyo", "Tokyo"),
        ("Tokyo is a city in the country of", "Tokyo"),
        ("The currency used in Rio de Janeiro is the", "Rio de Janeiro"),
        ("She moved from Tokyo to Kyoto, and back to Tokyo again", "Tokyo"),
        ("“Tokyo”, he said", "Tokyo"),
        ("Is it in N'Djamena?", "N'Djamena"),
        ("Tokyo's mayor", "Tokyo"),
        ("Juliet left Rome without Romeo, the Roman", "Rome"),
    ],
)
def test_the_last_token_of_the_last_mention(model: LanguageModel, prompt: str, name: str) -> None:
    at = name_position(model, prompt, name)
    tokens = model.prompt_tokens(prompt)
    # Up to and with that token the text ends with the name's end; one token less and it doesn't.
    end = [match.end() for match in re.finditer(rf"\b{name}\b", prompt)][-1]
    assert len(model.tokenizer.decode(tokens[1 : at + 1])) >= end
    assert len(model.tokenizer.decode(tokens[1:at])) < end


def test_the_position_of_a_name_by_hand(model: LanguageModel) -> None:
    prompt = "The currency used in Paris is the"
    words = [model.decode(token) for token in model.prompt_tokens(prompt)]
    assert words[1:6] == ["The", " currency", " used", " in", " Paris"]
    assert name_position(model, prompt, "Paris") == 5


@pytest.mark.parametrize(
    ("prompt", "name"), [("I like Kyoto", "Tokyo"), ("", "Tokyo"), ("x", ""), ("Romeo", "Rome")]
)
def test_a_prompt_without_the_name_is_refused(model: LanguageModel, prompt: str, name: str) -> None:
    with pytest.raises(UserError) as raised:
        name_position(model, prompt, name)
    assert f"does not mention {name}" in one_sentence(raised)


def test_the_residual_on_a_name_does_not_depend_on_the_padding(model: LanguageModel) -> None:
    prompts = ["Tokyo", "My sister has been living in Tokyo", "The film was shot in Tokyo"]
    together = residuals_on_names(model, prompts, "Tokyo")
    for row, prompt in enumerate(prompts):
        tokens = model.prompt_tokens(prompt)
        alone = model.residual(torch.tensor([tokens]))[0, -1]
        error = (together[row] - alone).norm() / alone.norm()
        assert error < 1e-5
