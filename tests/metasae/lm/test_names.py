"""Where a name stands in a prompt, with a small tokenizer and once with the real one."""

import re

import pytest

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position, token_in
from tests.builders import one_sentence


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
def test_the_last_token_of_the_last_mention(
    small_model: LanguageModel, prompt: str, name: str
) -> None:
    at = name_position(small_model, prompt, name)
    tokens = small_model.prompt_tokens(prompt)
    # Up to and with that token the text ends with the name's end; one token less and it doesn't.
    end = [match.end() for match in re.finditer(rf"\b{name}\b", prompt)][-1]
    assert len(small_model.tokenizer.decode(tokens[1 : at + 1]).lstrip()) >= end
    assert len(small_model.tokenizer.decode(tokens[1:at]).lstrip()) < end


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Tokyo", "Tokyo"),
        ("The currency used in Rio de Janeiro is the", "Rio de Janeiro"),
        ("Is it in N'Djamena?", "N'Djamena"),
        ("Here is São Paulo, not Rome", "São Paulo"),
    ],
)
def test_a_prompt_is_cut_around_the_token_that_is_edited(
    small_model: LanguageModel, prompt: str, name: str
) -> None:
    before, token, after = token_in(small_model, prompt, name_position(small_model, prompt, name))
    assert before + token + after == prompt
    assert token and not token.startswith(" ") and name.endswith(token)
    assert before.endswith(name.removesuffix(token)) or token == name


def test_the_position_of_a_name_by_hand(model: LanguageModel) -> None:
    prompt = "The currency used in Paris is the"
    words = [model.decode(token) for token in model.prompt_tokens(prompt)]
    assert words[1:6] == ["The", " currency", " used", " in", " Paris"]
    assert name_position(model, prompt, "Paris") == 5
    assert token_in(model, prompt, 5) == ("The currency used in ", "Paris", " is the")
    assert token_in(model, prompt, 1) == ("", "The", " currency used in Paris is the")


@pytest.mark.parametrize(
    ("prompt", "name"), [("I like Kyoto", "Tokyo"), ("", "Tokyo"), ("x", ""), ("Romeo", "Rome")]
)
def test_a_prompt_without_the_name_is_refused(
    small_model: LanguageModel, prompt: str, name: str
) -> None:
    with pytest.raises(UserError) as raised:
        name_position(small_model, prompt, name)
    assert f"does not mention {name}" in one_sentence(raised)
