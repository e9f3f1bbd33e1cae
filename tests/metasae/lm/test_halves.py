"""The two halves of a small model make the whole."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.lm.halves import MASSIVE, lower_layers, not_massive, upper_layers, usable
from metasae.lm.language_model import LanguageModel
from tests import small_models
from tests.builders import one_sentence


def test_what_is_massive_by_hand() -> None:
    norms = torch.tensor([0.0, 4.0, 8.0, 8.1])
    assert MASSIVE == 4.0 and not_massive(norms, 2.0).tolist() == [True, True, True, False]


def test_the_halves_are_the_models(small_model: LanguageModel) -> None:
    tokens = torch.tensor([small_model.prompt_tokens("Tokyo is a city in the country of")])
    resid = lower_layers(small_model, torch.float32)(tokens)
    torch.testing.assert_close(resid, small_model.residual(tokens), rtol=0, atol=1e-5)
    hidden = upper_layers(small_model, torch.float32)(resid)
    with torch.inference_mode():
        expected = small_model.hf(tokens, use_cache=False).logits
        logits = small_model.hf.lm_head(hidden)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_the_upper_half_has_a_gradient_and_the_model_keeps_none(
    small_model: LanguageModel,
) -> None:
    tokens = torch.tensor([small_model.prompt_tokens("Paris")])
    leaf = small_model.residual(tokens).clone().requires_grad_()
    upper_layers(small_model, torch.float32)(leaf).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().max() > 0
    assert all(weight.grad is None for weight in small_model.hf.parameters())
    low = lower_layers(small_model, torch.bfloat16)(tokens)
    assert low.dtype == torch.bfloat16
    assert all(weight.dtype == torch.float32 for weight in small_model.hf.parameters())


def test_which_residuals_an_sae_is_applied_to_by_hand() -> None:
    norms = torch.tensor([[9.0, 1.0, 8.1, 8.0], [1.0, 2.0, 3.0, 1.0]])
    resid = norms[..., None] * torch.tensor([0.6, 0.8])
    assert usable(resid, torch.tensor([4, 2]), 2.0).tolist() == [
        [False, True, False, True],
        [False, True, False, False],
    ]
    assert usable(resid, torch.tensor([4, 3]), math.inf).tolist() == [
        [False, True, True, True],
        [False, True, True, False],
    ]


@pytest.mark.parametrize("make", [small_models.gemma, small_models.gpt2])
def test_what_cannot_be_cut_is_refused(make: Callable[[Path], Any], tmp_path: Path) -> None:
    model = LanguageModel(make(tmp_path), None, "small", 2, 0)
    with pytest.raises(UserError, match="upper blocks can't be run alone") as raised:
        upper_layers(model, torch.float32)
    one_sentence(raised)
