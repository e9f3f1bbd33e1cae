"""What answers lose without a latent, against whole passes in which it is silenced."""

import torch

from metasae.lm.halves import MASSIVE
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position
from metasae.steering.ablation import lost_without
from metasae.steering.prompt_set import PromptSet
from metasae.steering.questions import Answer, Question
from metasae.text.cities import find_city
from metasae.text.prompts import QUESTIONS, fill
from tests.builders import unit_sae
from tests.oracle import answer_logprobs, silenced

WIDTH = 12
ANSWERS = ("Japan", "France", "the United States")


def questions(city: str) -> list[Question]:
    answers = tuple(Answer((), text) for text in ANSWERS)
    return [Question(name, fill(text, city), answers) for name, text in QUESTIONS.items()]


def test_what_is_lost_is_what_full_passes_lose(small_model: LanguageModel) -> None:
    asked, latents = questions("Tokyo"), tuple(range(WIDTH))
    made = unit_sae(WIDTH, small_model.d_model, seed=4)
    at = [name_position(small_model, one.prompt, "Tokyo") for one in asked]
    prompts = PromptSet(small_model, asked)
    lost = lost_without(prompts, made, latents, at, median_norm=1e6)
    assert lost.shape == (WIDTH, len(asked) * len(ANSWERS))
    silent = 0
    for latent in latents:
        expected = []
        for one, place in zip(asked, at, strict=True):
            without = silenced(made, latent, place)
            clean = answer_logprobs(small_model, one.prompt, ANSWERS)
            expected.append(clean - answer_logprobs(small_model, one.prompt, ANSWERS, without))
        row = torch.cat(expected)
        torch.testing.assert_close(lost[latent], row, rtol=0, atol=2e-4)
        silent += not row.abs().max() > 1e-3
    # Four of twelve fire on the name: some latents cost something, others nothing.
    assert 0 < silent < WIDTH


def test_the_latents_come_in_the_order_asked(small_model: LanguageModel) -> None:
    asked, made = questions("Paris"), unit_sae(WIDTH, small_model.d_model, seed=4)
    at = [name_position(small_model, one.prompt, "Paris") for one in asked]
    prompts = PromptSet(small_model, asked)
    every = lost_without(prompts, made, range(WIDTH), at, 1e6)
    some = lost_without(prompts, made, (7, 2, 7), at, 1e6)
    torch.testing.assert_close(some, every[[7, 2, 7]], rtol=0, atol=1e-5)


def test_a_massive_activation_is_left_alone(small_model: LanguageModel) -> None:
    city = find_city("Cairo")
    asked, made = questions(city.name), unit_sae(WIDTH, small_model.d_model, seed=4)
    at = [name_position(small_model, one.prompt, city.name) for one in asked]
    prompts = PromptSet(small_model, asked)
    norms = []
    for one, place in zip(asked, at, strict=True):
        tokens = torch.tensor([small_model.prompt_tokens(one.prompt)])
        norms.append(float(small_model.residual(tokens)[0, place].norm()))
    between = (min(norms) + max(norms)) / 2 / MASSIVE
    lost = lost_without(prompts, made, range(WIDTH), at, between)
    by_question = lost.reshape(WIDTH, len(asked), len(ANSWERS)).abs().amax((0, 2))
    for norm, most in zip(norms, by_question.tolist(), strict=True):
        assert (most > 1e-3) == (norm <= MASSIVE * between)
    assert not lost_without(prompts, made, range(WIDTH), at, 1e-6).abs().max() > 1e-4
