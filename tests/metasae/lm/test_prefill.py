"""Tails finish as full passes of their own."""

import torch

from metasae.lm.language_model import LanguageModel
from metasae.lm.token_tree import PromptWithContinuations, TokenTree, shared_prefix_tree
from tests.metasae.lm.prompts import PROMPTS


def test_tails_of_different_lengths_finish_as_the_full_pass(small_model: LanguageModel) -> None:
    rows = [small_model.prompt_tokens(prompt) for prompt in PROMPTS]
    first = [1, len(rows[1]) - 3, 5, 1]
    prefilled = small_model.prefill([TokenTree.line(row) for row in rows], [[at] for at in first])
    finished = prefilled.finish(prefilled.resid)
    for row, tokens in enumerate(rows):
        with torch.inference_mode():
            full = small_model.hf(torch.tensor([tokens]), use_cache=False).logits[0].log_softmax(-1)
        length = len(tokens) - first[row]
        for hidden in (finished, prefilled.final):
            found = small_model.blocks().unembed(hidden[row, :length]).log_softmax(-1)
            torch.testing.assert_close(found, full[first[row] :], rtol=0, atol=1e-4)
    for row, tokens in enumerate(rows):
        slots = prefilled.slots[row, prefilled.real[row]]
        assert slots.tolist() == list(range(first[row], len(tokens)))


def test_edited_tails_finish_as_an_edited_full_pass(small_model: LanguageModel) -> None:
    rows = [small_model.prompt_tokens(prompt) for prompt in PROMPTS]
    first = [2, len(rows[1]) - 1, 3, 1]
    prefilled = small_model.prefill([TokenTree.line(row) for row in rows], [[at] for at in first])
    change = 20 * torch.randn(prefilled.resid.shape)
    # Rows repeated and out of order, as when several edits are scored at once.
    which = torch.tensor([2, 0, 2, 3, 1])
    twice = torch.stack([change[2], change[0], -change[2], change[3], change[1]])
    finished = prefilled.finish(prefilled.resid[which] + twice, which)
    for place, row in enumerate(which.tolist()):
        tokens = torch.tensor([rows[row]])
        length = len(rows[row]) - first[row]
        resid = small_model.residual(tokens).clone()
        resid[0, first[row] :] += twice[place, :length]
        expected = small_model.logits_above(resid)[0, first[row] :].log_softmax(-1)
        found = small_model.blocks().unembed(finished[place, :length]).log_softmax(-1)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_answers_that_share_a_prompt_finish_as_sequences_of_their_own(
    small_model: LanguageModel,
) -> None:
    prompt = small_model.prompt_tokens(PROMPTS[0])
    continuations = [
        small_model.encode(text) for text in (" Japanese yen", " Japanese", " euro zone")
    ]
    tree, [grown] = shared_prefix_tree([PromptWithContinuations(prompt, continuations)])
    prefilled = small_model.prefill([tree], [[2]])
    assert prefilled.slots[0].tolist() == list(range(2, len(tree)))
    change = 20 * torch.randn(3, *prefilled.resid.shape[1:])
    read = grown.read
    only = torch.tensor(sorted({place - 2 for places in read for place in places}))
    finished = prefilled.finish(prefilled.resid + change, only=only)
    for edited, hidden in zip(change, finished, strict=True):
        for tokens, places in zip(continuations, read, strict=True):
            row = [*prompt, *tokens[:-1]]
            path = [*range(2, len(prompt)), *places[1:]]
            resid = small_model.residual(torch.tensor([row])).clone()
            resid[0, 2:] += edited[[place - 2 for place in path]]
            expected = small_model.logits_above(resid)[0, len(prompt) - 1 :].log_softmax(-1)
            at = [only.tolist().index(place - 2) for place in places]
            found = small_model.blocks().unembed(hidden[at]).log_softmax(-1)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_prompts_that_share_a_row_finish_as_rows_of_their_own(small_model: LanguageModel) -> None:
    texts = ("Tokyo is a city in the country of", "Tokyo is a city on the continent of", PROMPTS[1])
    prompts = [small_model.prompt_tokens(text) for text in texts]
    marked = [2, 2, 4]
    stems = [
        PromptWithContinuations(tokens, marked=at)
        for tokens, at in zip(prompts, marked, strict=True)
    ]
    tree, grown = shared_prefix_tree(stems)
    edited = [one.path[at] for one, at in zip(grown, marked, strict=True)]
    assert edited[0] == edited[1] and len(tree) < sum(map(len, prompts)) - 4
    prefilled = small_model.prefill([tree], [edited])
    change = 20 * torch.randn(2, *prefilled.resid.shape[1:])
    finished = prefilled.finish(prefilled.resid + change)
    slots = prefilled.slots[0].tolist()
    for tokens, one, at in zip(prompts, grown, marked, strict=True):
        tail = [slots.index(place) for place in one.path[at:]]
        assert not {*one.path[:at]} & {*slots}
        for added, hidden in zip(change, finished, strict=True):
            resid = small_model.residual(torch.tensor([tokens])).clone()
            resid[0, at:] += added[tail]
            expected = small_model.logits_above(resid)[0, at:].log_softmax(-1)
            found = small_model.blocks().unembed(hidden[tail]).log_softmax(-1)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_rows_that_differ_in_a_few_places_finish_as_if_they_differed_in_all(
    small_model: LanguageModel,
) -> None:
    prompt = small_model.prompt_tokens(PROMPTS[0])
    prefilled = small_model.prefill([TokenTree.line(prompt)], [[2, 4]])
    resid = prefilled.resid.repeat(3, 1, 1)
    places = torch.tensor([0, 2])
    resid[:, places] += 20 * torch.randn(3, 2, resid.shape[-1])
    expected = prefilled.finish(resid)
    assert (expected[0] - expected[1]).abs().max() > 1
    found = prefilled.finish(resid, differ=places)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    # What is not said to differ is taken from the first row.
    wrong = prefilled.finish(resid, differ=places[:1])
    assert (wrong - expected).abs().max() > 0.05
