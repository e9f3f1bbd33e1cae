"""The two halves of a model, below and above the hook, in any precision; massive activations.

The residual stream of a few tokens in ten thousand is tens of times as long as the median (massive
activations). SAEs are not applied to them, and edits leave them as they are.

Shapes: B rows of tokens, T positions, D = d_model.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel

MASSIVE = 4.0
"""A residual whose norm exceeds this many times the median norm is a massive activation."""

_ALIKE = ("llama", "mistral")
"""Families, by transformers' ``model_type``, all of whose blocks are called in the same way."""


def not_massive(norm: Float[Tensor, "*N"], median: float) -> Bool[Tensor, "*N"]:
    """Which residuals are no massive activations, by their norms and the median norm."""
    return norm <= MASSIVE * median


def usable(
    resid: Float[Tensor, "B T D"], lengths: Int[Tensor, " B"], median: float
) -> Bool[Tensor, "B T"]:
    """Which residuals of padded rows an SAE is applied to.

    They are those of real tokens, without start tokens and massive activations.

    Args:
        lengths: number of real tokens of each row.
        median: median norm; infinite where it isn't known yet.
    """
    real = torch.arange(resid.shape[1])[None] < lengths[:, None]
    real[:, 0] = False
    return real & not_massive(resid.norm(dim=-1), median)


def lower_layers(
    model: LanguageModel, dtype: torch.dtype
) -> Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T D"]]:
    """A copy of the model below the hook in some precision: tokens → residual at the hook."""
    lower = base_model_copy(model, dtype)
    layers, norm = model.family.stack
    setattr(lower, layers, getattr(lower, layers)[: model.hook_layer])
    setattr(lower, norm, torch.nn.Identity())

    def run(tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        with torch.inference_mode():
            return lower(tokens, use_cache=False).last_hidden_state

    return run


def upper_layers(
    model: LanguageModel, dtype: torch.dtype
) -> Callable[[Float[Tensor, "B T D"]], Float[Tensor, "B T D"]]:
    """A copy of the model above the hook in some precision, up to and with its final norm.

    Differentiable with respect to the residual stream it is given.

    Raises:
        UserError: for a model that can't be cut: GPT-2 adds its position embeddings to whatever it
            is given, and Gemma's and Qwen's blocks have masks or rotary embeddings that
            transformers chooses by a block's place in the list.
    """
    if model.hf.config.model_type not in _ALIKE:
        raise UserError(
            f"{model.name} is of the family {model.hf.config.model_type}, whose upper blocks can't "
            f"be run alone; choose a model of the families {' or '.join(_ALIKE)}."
        )
    upper = base_model_copy(model, dtype)
    upper.layers = upper.layers[model.hook_layer :]

    def run(resid: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return upper(inputs_embeds=resid.to(dtype), use_cache=False).last_hidden_state

    return run


def base_model_copy(model: LanguageModel, dtype: torch.dtype) -> Any:
    """A copy of transformers' base model (all but the unembedding) in some precision."""
    from transformers import AutoModel

    whole = AutoModel.from_config(model.hf.config).to(dtype).eval().requires_grad_(False)
    whole.load_state_dict(model.hf.base_model.state_dict())
    return whole
