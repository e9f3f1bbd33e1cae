"""Model families: where transformers keeps a model's parts, and how one of its blocks is called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from packaging.version import Version
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.blocks import KeysValues, behind

_CACHE = "cache" if Version(transformers.__version__) >= Version("5.24") else "past_key_values"
"""What transformers calls the keys and values before a block; it warns at every call of the old
name."""


class PrefixCache:
    """A stand-in for transformers' cache: puts a block's keys and values behind a prefix's.

    Attributes:
        own: the block's own, once it has run.
    """

    def __init__(self, prefix: KeysValues | None) -> None:
        self._prefix = prefix
        self.own: KeysValues | None = None

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> KeysValues:
        """The keys and values that the block attends to; transformers calls this."""
        self.own = key, value
        return self.own if self._prefix is None else behind(self._prefix, key, value)


Call = Callable[[Any, int, Tensor, Tensor, Tensor, PrefixCache], Tensor]


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


def _rotary(
    base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, cache: PrefixCache, *kind: str
) -> Tensor:
    out: Tensor = base.layers[layer](
        x,
        attention_mask=mask,
        position_ids=at,
        position_embeddings=base.rotary_emb(x, at, *kind),
        **{_CACHE: cache},
    )
    return out


def _two_rotaries(
    base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, cache: PrefixCache
) -> Tensor:
    return _rotary(base, layer, x, at, mask, cache, base.config.layer_types[layer])


def _learned(
    base: Any, layer: int, x: Tensor, at: Tensor, mask: Tensor, cache: PrefixCache
) -> Tensor:
    out: Tensor = base.h[layer](x, attention_mask=mask, use_cache=True, **{_CACHE: cache})
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
