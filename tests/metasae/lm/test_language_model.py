"""The real model in two halves against transformers and TransformerLens whole."""

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel, padded
from metasae.sources.presets import EMBEDDED
from tests import oracle, small_models
from tests.builders import one_sentence
from tests.metasae.lm.prompts import PROMPTS, tokens_of


def test_padded_fills_on_the_right() -> None:
    assert padded([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]


def test_the_method_says_behind_which_token_a_text_is_read(model: LanguageModel) -> None:
    # It isn't the tokenizer's own, and with that one nobody gets the same numbers.
    number, words = EMBEDDED.model.start_token, model.tokenizer
    assert number is not None and number != words.bos_token_id
    method = (Path(__file__).parents[3] / "docs" / "method.md").read_text("utf-8")
    assert f"`{words.convert_ids_to_tokens(number)}` (id {number})" in method
    assert f"`{words.bos_token}`" in method


def test_a_prompt_begins_with_the_start_token(model: LanguageModel) -> None:
    tokens = model.prompt_tokens("Yes, Tokyo")
    assert tokens[0] == EMBEDDED.model.start_token
    assert model.tokenizer.decode(tokens[1:]) == "Yes, Tokyo"
    assert model.encode("Yes, Tokyo") == tokens[1:]
    assert "".join(map(model.decode, tokens[1:])) == "Yes, Tokyo"
    assert model.encode("") == []


def test_the_sizes_are_the_presets(model: LanguageModel) -> None:
    assert model.d_model == EMBEDDED.model.d_model
    assert model.n_layers == 30
    assert oracle.hook_point(model) == EMBEDDED.hook_point == "blocks.20.hook_resid_pre"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_bridges_logits_are_transformers(model: LanguageModel, prompt: str) -> None:
    tokens = tokens_of(model, prompt)
    with torch.inference_mode():
        expected = model.hf(tokens, use_cache=False).logits
        found = oracle.bridge(model)(tokens)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_bridge_shares_the_weights_and_leaves_the_model_alone(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[0])
    modules = {name: type(module) for name, module in model.hf.named_modules()}
    expected = model.residual(tokens)
    shared = {parameter.data_ptr() for parameter in oracle.bridge(model).parameters()}
    for name, parameter in model.hf.named_parameters():
        assert parameter.data_ptr() in shared, name
    assert {name: type(module) for name, module in model.hf.named_modules()} == modules
    assert torch.equal(model.residual(tokens), expected)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_our_residual_is_transformers_hidden_state(model: LanguageModel, prompt: str) -> None:
    tokens = tokens_of(model, prompt)
    with torch.inference_mode():
        states = model.hf(tokens, use_cache=False, output_hidden_states=True).hidden_states
    found = model.residual(tokens)
    assert relative_error(found, states[EMBEDDED.hook_layer]) < 1e-5
    # … and not one of its neighbours'.
    assert relative_error(found, states[EMBEDDED.hook_layer - 1]) > 1e-2
    assert relative_error(found, states[EMBEDDED.hook_layer + 1]) > 1e-2


@pytest.mark.parametrize("prompt", PROMPTS)
def test_our_residual_is_the_bridges_at_the_hook(model: LanguageModel, prompt: str) -> None:
    tokens = tokens_of(model, prompt)
    with torch.inference_mode():
        _, cache = oracle.bridge(model).run_with_cache(tokens, names_filter=EMBEDDED.hook_point)
    assert relative_error(model.residual(tokens), cache[EMBEDDED.hook_point]) < 1e-5


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest, over the positions, of ‖found − expected‖ / ‖expected‖."""
    return float(((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max())


def test_the_two_halves_make_the_whole(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[1])
    with torch.inference_mode():
        expected = model.hf(tokens, use_cache=False).logits.log_softmax(-1)
    found = model.logits_above(model.residual(tokens)).log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def greedy(model: LanguageModel, prompt: str, count: int) -> str:
    """What transformers itself writes."""
    tokens = tokens_of(model, prompt)
    out = model.hf.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=model.tokenizer.pad_token_id,
    )
    return str(model.tokenizer.decode(out[0, tokens.shape[1] :], skip_special_tokens=True))


def test_generating_without_an_edit_is_transformers_own(model: LanguageModel) -> None:
    expected = greedy(model, PROMPTS[0], 12)
    assert len(expected) > 10
    assert model.generate(PROMPTS[0], 12) == expected
    assert model.generate(PROMPTS[0], 12, lambda resid, start: resid) == expected


@pytest.mark.long
def test_sampling_goes_by_the_seed(model: LanguageModel) -> None:
    one, again = (model.generate(PROMPTS[0], 12, None, 1.0, seed=5) for _ in range(2))
    assert one == again
    others = {model.generate(PROMPTS[0], 12, None, 1.0, seed=seed) for seed in range(4)}
    assert len(others) > 1


def test_it_tells_of_every_token_and_stops_where_that_raises(model: LanguageModel) -> None:
    told: list[tuple[float, str]] = []

    def tell(stage: str, fraction: float, note: str) -> None:
        told.append((fraction, note))
        if len(told) == 6:
            raise InterruptedError

    model.generate(PROMPTS[0], 4, progress=tell)
    assert told == [(n / 4, f"{n} of 4 tokens") for n in range(5)]
    with pytest.raises(InterruptedError):
        model.generate(PROMPTS[0], 4, progress=tell)
    # Nothing is left behind: the model writes as before.
    assert model.generate(PROMPTS[0], 12) == greedy(model, PROMPTS[0], 12)


def test_an_edit_of_generation_sees_every_position_once(model: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []

    def watch(resid: Tensor, start: int) -> Tensor:
        seen.append((start, resid.shape[1]))
        return resid

    model.generate(PROMPTS[0], 4, watch)
    length = len(model.prompt_tokens(PROMPTS[0]))
    assert seen == [(0, length), (length, 1), (length + 1, 1), (length + 2, 1)]


def test_an_edit_reaches_the_logits_and_does_not_outlive_its_call(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[0])

    def logits() -> Tensor:
        with torch.inference_mode():
            return model.hf(tokens, use_cache=False).logits

    def push(resid: Tensor, _: int) -> Tensor:
        return resid + 10 * torch.ones_like(resid)

    clean = logits()
    with model.edited(push):
        edited = logits()
    resid = model.residual(tokens) + 10
    torch.testing.assert_close(edited, model.logits_above(resid), rtol=0, atol=1e-3)
    assert (edited - clean).abs().max() > 0.1
    assert torch.equal(logits(), clean)


@pytest.mark.parametrize("where", ["inside the block", "inside the edit"])
def test_a_hook_does_not_outlive_an_exception(model: LanguageModel, where: str) -> None:
    def fail(resid: Tensor, _: int) -> Tensor:
        raise RuntimeError(where)

    clean, before = model.residual(tokens_of(model, PROMPTS[0])), hooks(model)
    if where == "inside the edit":
        with pytest.raises(RuntimeError, match=where):
            model.generate(PROMPTS[0], 3, fail)
    else:
        with pytest.raises(RuntimeError, match=where), model.edited(fail):
            raise RuntimeError(where)
    assert hooks(model) == before
    assert torch.equal(model.residual(tokens_of(model, PROMPTS[0])), clean)
    # The lock is free again: another thread gets through.
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(model.generate("Yes", 1)))
    thread.start()
    thread.join(timeout=60)
    assert len(done) == 1


def hooks(model: LanguageModel) -> int:
    """How many there are; transformers may have some of its own."""
    return sum(
        len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.hf.modules()
    )


def test_no_more_is_written_than_the_model_is_run_on(tmp_path: Path) -> None:
    hf = small_models.gpt2(tmp_path)
    model = LanguageModel(hf, small_models.tokenizer("<|endoftext|>"), "small", 2, 0)
    used, most = len(model.prompt_tokens("Tokyo")), hf.config.n_positions
    assert model.generate("Tokyo", most - used)
    with pytest.raises(UserError, match=r"has 129 tokens; small is run on 128 at most") as raised:
        model.generate("Tokyo", most - used + 1)
    one_sentence(raised)


def test_others_have_their_turns_between_two_tokens_and_no_draw_or_edit_of_theirs_changes(
    small_model: LanguageModel,
) -> None:
    prompt, waited, tokens = "Tokyo", list[int](), torch.tensor([[1, 2, 3, 4]])
    push = torch.full((small_model.d_model,), 3.0)

    def edit(resid: Tensor, start: int) -> Tensor:
        return resid + push

    with torch.inference_mode():
        before = small_model.hf(tokens, use_cache=False).logits
    alone = small_model.generate(prompt, 8, edit, 1.0, seed=3)
    seen = list[Tensor]()

    def ask() -> None:
        with small_model.lock, torch.inference_mode():
            seen.append(small_model.hf(tokens, use_cache=False).logits)
            torch.rand(5)  # from the generator the writing draws from

    def progress(stage: str, fraction: float, note: str) -> None:
        thread = threading.Thread(target=ask)
        thread.start()
        threads.append(thread)
        while not small_model.lock.waiting and thread.is_alive():
            pass
        waited.append(len(seen))

    threads = list[threading.Thread]()
    assert small_model.generate(prompt, 8, edit, 1.0, seed=3, progress=progress) == alone
    for thread in threads:
        thread.join(20)
    # Each had its turn before the next token was begun, not at the end.
    assert waited == list(range(len(threads))) and len(threads) >= 2
    assert all(torch.equal(one, before) for one in seen)
