"""Blocks that keep the patterns of an unedited run; whole edits with them: steering/test_frozen."""

import torch

from metasae.lab.lab import Lab
from metasae.lm.frozen_attention import FrozenBlocks
from metasae.lm.library_blocks import LibraryBlocks

TEXT = "The city of Tokyo is in the country of"


def test_the_unedited_run_is_itself_and_edits_do_not_meet(small_lab: Lab) -> None:
    model = small_lab.model
    tokens = torch.tensor([model.prompt_tokens(TEXT)])
    resid, length = model.residual(tokens), tokens.shape[1]
    upper = range(model.hook_layer, model.n_layers)
    live, frozen = LibraryBlocks(model.hf, upper), FrozenBlocks(model.hf, upper, resid)
    causal = torch.ones(1, length, length, dtype=torch.bool).tril()
    inputs = live.attention_inputs(torch.arange(length)[None], causal)
    torch.testing.assert_close(frozen.run(resid, inputs), live.run(resid, inputs))
    edited = resid + torch.randn(3, length, resid.shape[-1]) * resid.std()
    together = frozen.run(edited, inputs)
    for row, one in enumerate(edited):
        alone = frozen.run(one[None], inputs)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-4)
    assert (together - live.run(edited, inputs)).abs().max() > 0.01
    # Only some of the positions are asked for.
    last = torch.tensor([length - 1])
    torch.testing.assert_close(
        frozen.run(edited, inputs, only=last), together[:, last], rtol=0, atol=1e-4
    )


def test_the_model_stays_as_it_is_and_its_weights_are_shared(small_lab: Lab) -> None:
    model = small_lab.model
    before = model.hf.config._attn_implementation
    resid = model.residual(torch.tensor([model.prompt_tokens(TEXT)]))
    frozen = FrozenBlocks(model.hf, range(model.n_layers), resid)
    assert model.hf.config._attn_implementation == before
    theirs = {id(weight) for weight in frozen._hf.parameters()}
    assert theirs == {id(weight) for weight in model.hf.parameters()}
