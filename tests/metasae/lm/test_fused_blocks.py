"""The fused blocks in bf16."""

import pytest
import torch

from metasae.lm.fused_blocks import FusedBlocks
from metasae.lm.language_model import LanguageModel
from tests.metasae.lm.prompts import PROMPTS, tokens_of


def test_the_fused_blocks_in_bf16_stay_near_the_full_pass(model: LanguageModel) -> None:
    tokens = tokens_of(model, PROMPTS[0])
    resid, length = model.residual(tokens), tokens.shape[1]
    blocks = model.blocks(torch.bfloat16)
    causal = torch.ones(1, length, length, dtype=torch.bool).tril()
    hidden = blocks.run(resid, blocks.attention_inputs(torch.arange(length)[None], causal))
    found = blocks.unembed(hidden).float().log_softmax(-1)
    expected = model.logits_above(resid).log_softmax(-1)
    top = expected.topk(5).indices
    assert (found - expected).gather(-1, top).abs().max() < 0.5
    assert (found - expected).abs().max() > 1e-3  # it is bf16, not fp32 by another name


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_only_what_is_computed_alike_is_fused(activation: str) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=24, hidden_act=activation,
        initializer_range=0.5,
    )  # fmt: skip
    hf = LlamaForCausalLM(config)
    model = LanguageModel(hf, None, "small", 1, 0)
    assert isinstance(model.blocks(), FusedBlocks) == (activation == "silu")
    tokens = torch.randint(32, (2, 9))
    with torch.inference_mode():
        expected = hf(tokens, use_cache=False).logits
    found = model.logits_above(model.residual(tokens))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
