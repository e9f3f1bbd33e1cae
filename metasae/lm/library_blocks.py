"""Blocks of a model of any known family, run by transformers.

Shapes: N rows, T positions, S what a position may attend to, D = d_model, V vocabulary.
"""

import contextlib
import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.blocks import AttentionInputs, KeysValues, additive_mask
from metasae.lm.families import PrefixCache, family_of
from metasae.lm.next_tokens import NextTokens, WholeVocabulary


class LibraryBlocks:
    """Consecutive blocks of a model of any family of `families.FAMILIES`; see `blocks.Blocks`.

    Args:
        layers: numbers of the blocks.
        dtype: precision of the weights and products.
        differentiable: let gradients flow back to the residual stream; what the blocks are given
            must then not be made in inference mode (see `prefill.Prefilled.differentiable`).
    """

    def __init__(
        self,
        hf: Any,
        layers: range,
        dtype: torch.dtype = torch.float32,
        differentiable: bool = False,
    ) -> None:
        self.family = family_of(hf)
        self.dtype = dtype
        self.layers = layers
        self._mode = contextlib.nullcontext if differentiable else torch.inference_mode
        # Another precision needs another copy of the weights; the user's model stays as it is.
        self._hf = hf if dtype == torch.float32 else self._copy(hf)
        self._cap = getattr(hf.config, "final_logit_softcapping", None)

    def _copy(self, hf: Any) -> Any:
        """A copy with the weights that are run in this precision; it shares the others."""
        blocks = self.family.layers(hf)
        run = [*(blocks[layer] for layer in self.layers), self.family.norm(hf), hf.lm_head]
        copies = {id(weight): weight for weight in hf.parameters()}
        for weight in (weight for module in run for weight in module.parameters()):
            made = weight.detach().to(self.dtype)
            copies[id(weight)] = torch.nn.Parameter(made, requires_grad=False)
        return copy.deepcopy(hf, copies)

    def attention_inputs(
        self, positions: Int[Tensor, "N T"], attend: Bool[Tensor, "N T S"]
    ) -> AttentionInputs:
        """See `blocks.Blocks.attention_inputs`."""
        return AttentionInputs(positions, additive_mask(attend, self.dtype))

    def run(
        self,
        resid: Float[Tensor, "N T D"],
        inputs: AttentionInputs,
        prefix: Sequence[KeysValues] | None = None,
        seen: list[KeysValues] | None = None,
        only: Int[Tensor, " A"] | None = None,
        differ: Int[Tensor, " E"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """See `blocks.Blocks.run`."""
        with self._mode():
            x, rows = resid.to(self.dtype), len(resid)
            at, mask = inputs.positions.expand(rows, -1), inputs.mask.expand(rows, -1, -1, -1)
            for number, layer in enumerate(self.layers):
                cache = PrefixCache(prefix[number] if prefix is not None else None)
                x = self.family.call(self._hf.base_model, layer, x, at, mask, cache)
                if seen is not None and cache.own is not None:
                    seen.append(cache.own)
            return (x if only is None else x[:, only]).to(resid.dtype)

    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """See `blocks.Blocks.unembed`."""
        with self._mode():
            normed = self.family.norm(self._hf)(hidden.to(self.dtype))
            logits: Tensor = self._hf.lm_head(normed)
            return logits if self._cap is None else self._cap * torch.tanh(logits / self._cap)

    def next_tokens(self, place: Int[Tensor, " W"], token: Int[Tensor, " W"]) -> NextTokens:
        """See `blocks.Blocks.next_tokens`."""
        return WholeVocabulary(self.unembed, place, token)
