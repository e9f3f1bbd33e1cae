"""The logit lens against the model's own final norm and unembedding."""

from typing import Any

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.lm import logit_lens
from metasae.lm.language_model import LanguageModel
from tests.small_models import D_MODEL, HOOK, gemma, gpt2, tokenizer

MAKERS = {"gpt2": gpt2, "gemma": gemma}
COUNT = 600
"""More directions than are scored at once."""


@pytest.fixture(scope="module", params=list(MAKERS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(3)
    hf = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    with torch.no_grad():
        # A gain, and a bias where there is one, of which the scores must take notice.
        for parameter in hf.base_model.get_submodule(
            "ln_f" if request.param == "gpt2" else "norm"
        ).parameters():
            parameter.add_(torch.randn(D_MODEL))
    words = tokenizer("<s>")
    return LanguageModel(hf, words, request.param, HOOK, words.bos_token_id)


@pytest.fixture(scope="module")
def directions() -> torch.Tensor:
    return torch.randn(COUNT, D_MODEL, generator=torch.Generator().manual_seed(5))


def test_scores_are_what_the_norm_and_the_unembedding_make_of_a_direction(
    model: LanguageModel, directions: torch.Tensor
) -> None:
    scores = logit_lens.vocabulary_scores(model, directions)
    # A direction and its opposite have the same length: half their difference is free of a bias.
    unembed = model.blocks().unembed
    logits = (unembed(directions) - unembed(-directions)) / 2
    factor = (scores * logits).sum(1, keepdim=True) / scores.square().sum(1, keepdim=True)
    assert bool((factor > 0).all())
    torch.testing.assert_close(factor * scores, logits, rtol=1e-3, atol=1e-3)


def test_the_direction_of_one_token_gives_its_score(
    model: LanguageModel, directions: torch.Tensor
) -> None:
    scores = logit_lens.vocabulary_scores(model, directions)
    for token in (0, 17, len(model.tokenizer) - 1):
        dots = directions @ logit_lens.token_direction(model, token)
        torch.testing.assert_close(dots, scores[:, token], rtol=1e-4, atol=1e-3)


def test_top_tokens_are_the_largest_scores(model: LanguageModel, directions: torch.Tensor) -> None:
    top = logit_lens.top_tokens(model, directions, 4)
    assert top.shape == (COUNT, 4)
    order = logit_lens.vocabulary_scores(model, directions).argsort(dim=1, descending=True)
    assert torch.equal(top, order[:, :4])


@pytest.mark.parametrize(
    ("word", "tokens"),
    [("dollar", [" dollar", " Dollar"]), ("africa", [" Africa"]), ("currency", [" currency"])],
)
def test_a_words_directions_are_those_that_raise_it_as_given_or_with_a_capital(
    model: LanguageModel, directions: torch.Tensor, word: str, tokens: list[str]
) -> None:
    ids = [token for text in tokens for token in model.encode(text)]
    assert len(ids) == len(tokens), "one token each"
    best = logit_lens.vocabulary_scores(model, directions)[:, ids].amax(1)
    expected = best.argsort(descending=True)[:7].tolist()
    assert logit_lens.directions_promoting(model, directions, word, 7) == expected
    few = logit_lens.directions_promoting(model, directions[:3], word, 7)
    assert few == best[:3].argsort(descending=True).tolist()


def test_a_word_of_several_tokens_is_promoted_by_none(
    model: LanguageModel, directions: torch.Tensor
) -> None:
    assert logit_lens.directions_promoting(model, directions, "unheardofword", 7) == []


def test_a_direction_promotes_what_its_logits_say(lab: Lab) -> None:
    model = lab.model
    word = model.encode(" Japan")[0]
    direction = model.hf.lm_head.weight[word] / model.hf.model.norm.weight.clamp(min=0.1)
    promoted, suppressed = logit_lens.vocabulary_ends(model, direction)
    assert " Japan" in promoted["token"].tolist()
    assert promoted["score"].is_monotonic_decreasing
    assert suppressed["score"].max() < 0 < promoted["score"].min()


def test_promoted_tokens_are_the_logit_lens(lab: Lab) -> None:
    meta = next(iter(lab.decomposition.pieces(lab.subject("Tokyo").latents[0])))
    direction = lab.decomposition.meta.W_dec[meta]
    hf: Any = lab.model.hf
    with torch.inference_mode():
        scores = (direction * hf.model.norm.weight) @ hf.lm_head.weight.T
    best = [lab.model.decode(token).strip() for token in scores.topk(36).indices.tolist()]
    readable = [word for word in best if word and "\ufffd" not in word]
    # The same word with another capital or space counts once.
    once = {word.casefold(): word for word in reversed(readable)}
    expected = [word for word in dict.fromkeys(readable) if word in once.values()][:6]
    assert list(lab.meta_card(meta).promoted) == expected
