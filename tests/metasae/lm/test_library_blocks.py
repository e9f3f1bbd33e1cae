"""Blocks run by transformers in another precision, beside the model they are copied from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.lm.language_model import LanguageModel
from metasae.lm.library_blocks import LibraryBlocks
from tests import small_models

HOOK, LENGTH = 2, 12


def logits(blocks: LibraryBlocks, resid: Tensor) -> Tensor:
    causal = torch.ones(1, LENGTH, LENGTH, dtype=torch.bool).tril()
    inputs = blocks.attention_inputs(torch.arange(LENGTH)[None], causal)
    return blocks.unembed(blocks.run(resid, inputs)).float()


@pytest.mark.parametrize("make", [small_models.llama, small_models.gemma, small_models.gpt2])
def test_another_precision_copies_what_is_run_and_nothing_else(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    model = LanguageModel(make(tmp_path), None, "small", HOOK, 0)
    resid = model.residual(torch.randint(100, (2, LENGTH)))
    layers = range(HOOK, model.n_layers)
    expected = logits(LibraryBlocks(model.hf, layers), resid)
    rough = LibraryBlocks(model.hf, layers, torch.bfloat16)
    difference = (logits(rough, resid) - expected).abs().max()
    assert 0 < difference < 0.05 * expected.abs().max()
    # The model stays as it is, and what isn't run is not there a second time.
    assert {weight.dtype for weight in model.hf.parameters()} == {torch.float32}
    mine = {id(weight) for weight in model.hf.parameters()}
    lower = model.family.layers(rough._hf)[:HOOK].parameters()
    upper = model.family.layers(rough._hf)[HOOK:].parameters()
    assert {id(weight) for weight in lower} <= mine
    assert {weight.dtype for weight in upper} == {torch.bfloat16}
    # Rotary frequencies keep their precision: rounded, far positions would turn by another angle.
    for buffer in rough._hf.base_model.buffers():
        assert not buffer.is_floating_point() or buffer.dtype == torch.float32
