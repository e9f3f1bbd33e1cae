"""The fused blocks in bf16."""

import torch

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
