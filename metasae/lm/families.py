"""Model families: where transformers keeps a model's parts, and how one of its blocks is called.

The fast blocks (`fused_blocks.Blocks`) are of the Llama family; models of the other families run
through transformers' own blocks, which are slower and give the same numbers.

Shapes: N rows, T positions, D = d_model, K key-value heads, d head width, P prefix positions,
S = P + T, V vocabulary.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.fused_blocks import Blocks, KeysValues, Places


class _Seen:
    """A stand-in for transformers' cache: appends a block's keys and values to the prefix's."""

    def __init__(self, prefix: KeysValues | None) -> None:
        self._prefix = prefix
        self.own: KeysValues | None = None

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> KeysValues:
        self.own = key, value
        if self._prefix is None:
            return key, value
        before_key, before_value = self._prefix
        rows = len(key)
        return (
            torch.cat([before_key.expand(rows, -1, -1, -1), key], dim=2),
            torch.cat([before_value.expand(rows, -1, -1, -1), value], dim=2),
        )


Call = Callable[[Any, int, Tensor, Tensor, Tensor, _Seen], Tensor]


@dataclass(frozen=True)
class Family:
    """The layout of transformers' models of one family.

    Attributes:
        stack: names of the list of blocks and of the final norm inside the base model.
        embed: base model, tokens, positions → what enters the first block.
        call: base model, number of a block, hidden states, positions, mask, cache → what leaves
            that block.
        gain: final norm and a direction → the direction after the norm's gain (and centring),
            without the division by the residual's length.
    """

    stack: tuple[str, str]
    embed: Callable[[Any, Tensor, Tensor], Tensor]
    call: Call
    gain: Callable[[Any, Tensor], Tensor]

    def layers(self, hf: Any) -> Any:
        """The model's blocks."""
        return getattr(hf.base_model, self.stack[0])

    def norm(self, hf: Any) -> Any:
        """The norm after the last block."""
        return getattr(hf.base_model, self.stack[1])


def _rotary(base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, seen: _Seen) -> Tensor:
    out: Tensor = base.layers[layer](
        x,
        attention_mask=mask,
        position_ids=at,
        past_key_values=seen,
        position_embeddings=base.rotary_emb(x, at),
    )
    return out


def _two_rotaries(
    base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, seen: _Seen
) -> Tensor:
    out: Tensor = base.layers[layer](
        x,
        attention_mask=mask,
        position_ids=at,
        past_key_values=seen,
        position_embeddings=base.rotary_emb(x, at, base.config.layer_types[layer]),
    )
    return out


def _learned(base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, seen: _Seen) -> Tensor:
    out: Tensor = base.h[layer](x, past_key_values=seen, attention_mask=mask, use_cache=True)
    return out


_LLAMA = Family(
    ("layers", "norm"),
    lambda base, tokens, at: base.embed_tokens(tokens),
    _rotary,
    lambda norm, direction: direction * norm.weight,
)

_GEMMA = Family(
    ("layers", "norm"),
    lambda base, tokens, at: base.embed_tokens(tokens),
    _two_rotaries,
    lambda norm, direction: direction * (1 + norm.weight),
)

_GPT2 = Family(
    ("h", "ln_f"),
    lambda base, tokens, at: base.wte(tokens) + base.wpe(at),
    _learned,
    lambda norm, direction: (direction - direction.mean(-1, keepdim=True)) * norm.weight,
)

FAMILIES = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma3_text": _GEMMA,
    "gpt2": _GPT2,
}
"""By transformers' ``model_type``."""


def family_of(hf: Any) -> Family:
    """The family of a transformers model.

    Raises:
        UserError: for a family that isn't in `FAMILIES`.
    """
    kind = hf.config.model_type
    if kind not in FAMILIES:
        raise UserError(
            f'The model is of the family "{kind}", which isn\'t known here; models of the families '
            f"{', '.join(FAMILIES)} can be opened."
        )
    return FAMILIES[kind]


def max_positions(hf: Any) -> int:
    """Most positions a prompt may have: a sliding window counts, since blocks see no further."""
    config = hf.config
    most = int(config.max_position_embeddings)
    return min(most, getattr(config, "sliding_window", None) or most)


@torch.no_grad()
def centre(hf: Any) -> None:
    """Subtract the mean over d_model from all a GPT-2 writes to the residual stream, in place.

    The norms subtract it in any case, so the output stays the same; SAEs trained with
    TransformerLens's ``center_writing_weights`` expect it to be zero. The unembedding, which GPT-2
    shares with the embedding, becomes a copy of its own and stays as it is.

    Raises:
        UserError: for a model of another family, whose norms keep the mean.
    """
    if hf.config.model_type != "gpt2":
        raise UserError(
            f"Writing weights can be centred in GPT-2 alone, not in {hf.config.model_type}; set "
            "centre_writing_weights to false."
        )
    hf.lm_head.weight = torch.nn.Parameter(hf.lm_head.weight.clone(), requires_grad=False)
    hf.config.tie_word_embeddings = False
    base = hf.base_model
    written = [base.wte.weight, base.wpe.weight]
    for block in base.h:
        for module in (block.attn.c_proj, block.mlp.c_proj):
            written += [module.weight, module.bias]
    for weight in written:
        weight -= weight.mean(-1, keepdim=True)


class LibraryBlocks:
    """Consecutive blocks of a model of any family of `FAMILIES`, run by transformers.

    The same methods as `fused_blocks.Blocks`.

    Args:
        layers: numbers of the blocks.
        dtype: precision of the weights and products.
    """

    def __init__(self, hf: Any, layers: range, dtype: torch.dtype = torch.float32) -> None:
        self.family = family_of(hf)
        self.dtype = dtype
        self.layers = layers
        # Another precision needs another copy of the weights; the user's model stays as it is.
        self._hf = hf if dtype == torch.float32 else copy.deepcopy(hf).to(dtype)
        self._cap = getattr(hf.config, "final_logit_softcapping", None)

    def places(self, positions: Int[Tensor, "N T"], attend: Bool[Tensor, "N T S"]) -> Places:
        """Positions and attention mask of rows (see `fused_blocks.Blocks.places`)."""
        mask = torch.zeros(attend.shape).masked_fill(~attend, float("-inf"))
        return Places(positions, mask[:, None].to(self.dtype))

    @torch.inference_mode()
    def run(
        self,
        resid: Float[Tensor, "N T D"],
        places: Places,
        prefix: Sequence[KeysValues] | None = None,
        seen: list[KeysValues] | None = None,
        only: Int[Tensor, " A"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """Hidden states after the last block (see `fused_blocks.Blocks.run`)."""
        x, rows = resid.to(self.dtype), len(resid)
        at, mask = places.positions.expand(rows, -1), places.mask.expand(rows, -1, -1, -1)
        for number, layer in enumerate(self.layers):
            cache = _Seen(prefix[number] if prefix is not None else None)
            x = self.family.call(self._hf.base_model, layer, x, at, mask, cache)
            if seen is not None and cache.own is not None:
                seen.append(cache.own)
        return (x if only is None else x[:, only]).to(resid.dtype)

    @torch.inference_mode()
    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """Logits of hidden states that left the last block, in the products' precision."""
        normed = self.family.norm(self._hf)(hidden.to(self.dtype))
        logits: Tensor = self._hf.lm_head(normed)
        return logits if self._cap is None else self._cap * torch.tanh(logits / self._cap)


def make_blocks(hf: Any, layers: range, dtype: torch.dtype) -> Blocks | LibraryBlocks:
    """The fastest implementation of some of a model's blocks."""
    plain = hf.config.model_type == "llama" and not (hf.config.attention_bias or hf.config.mlp_bias)
    return Blocks(hf, layers, dtype) if plain else LibraryBlocks(hf, layers, dtype)
