"""Models of every family laid out like a Llama give transformers' own numbers, without any SAE."""

from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.lm.families import FAMILIES
from metasae.lm.fused_blocks import FusedBlocks
from metasae.lm.library_blocks import LibraryBlocks
from metasae.lm.loading import load_model
from metasae.lm.token_tree import TokenTree
from tests.metasae.lm.prompts import PROMPTS
from tests.small_models import D_MODEL, llama
from tests.small_release import small_preset

WIDER = {"head_dim": 2 * D_MODEL // 4}
"""Heads that are wider together than the residual stream, as Qwen3's are."""

CASES: list[tuple[str, dict[str, Any], type]] = [
    ("llama", {}, FusedBlocks),
    ("llama", WIDER, FusedBlocks),
    ("llama", {"attention_bias": True}, LibraryBlocks),
    ("llama", {"mlp_bias": True}, LibraryBlocks),
    ("llama", {"hidden_act": "gelu"}, LibraryBlocks),
    ("mistral", {}, LibraryBlocks),
    ("qwen2", {}, LibraryBlocks),
    ("qwen3", WIDER, LibraryBlocks),
]


def test_every_family_is_tried() -> None:
    """Here or, on the presets of their own, in test_other_models.py."""
    assert {family for family, *_ in CASES} == set(FAMILIES) - {"gpt2", "gemma3_text"}


@pytest.mark.parametrize(("family", "more", "blocks"), CASES)
def test_prefill_and_finish_give_transformers_logits(
    family: str, more: dict[str, Any], blocks: type, tmp_path: Path
) -> None:
    theirs = llama(tmp_path, family=family, **more)
    with torch.no_grad():
        # Biases start as zero and gains as one; then they could as well be left out.
        for weight in theirs.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) / 3)
    theirs.save_pretrained(tmp_path)
    model = load_model(small_preset(tmp_path, tmp_path))
    assert type(model.blocks()) is blocks
    rows = [model.prompt_tokens(prompt) for prompt in PROMPTS]
    first = [2, len(rows[1]) - 3, 5, 1]
    prefilled = model.prefill([TokenTree.line(row) for row in rows], [[at] for at in first])
    change = 5 * torch.randn(prefilled.resid.shape)
    unedited = prefilled.finish(prefilled.resid)
    edited = prefilled.finish(prefilled.resid + change)
    for number, (row, at) in enumerate(zip(rows, first, strict=True)):
        tokens, length = torch.tensor([row]), len(row) - at

        def added(
            _block: object, given: tuple[torch.Tensor], at: int = at, number: int = number
        ) -> tuple[torch.Tensor]:
            resid = given[0].clone()
            resid[0, at:] += change[number, : resid.shape[1] - at]
            return (resid,)

        with torch.inference_mode():
            plain = theirs(tokens).logits[0, at:]
            hook = theirs.model.layers[model.hook_layer].register_forward_pre_hook(added)
            other = theirs(tokens).logits[0, at:]
            hook.remove()
        for hidden, expected in ((unedited, plain), (edited, other)):
            found = model.blocks().unembed(hidden[number, :length])
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
        assert (plain - other).abs().max() > 1
