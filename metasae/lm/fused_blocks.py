"""Transformer blocks of the Llama family as few large products, for the search over edits.

Transformers' blocks spend most of their time between the products when they are run hundreds of
thousands of times on short tails. These have the same weights and give the same numbers (the tests
compare them), with the norms' gains folded into the products that follow, one product for queries,
keys and values, and one for both halves of the gated MLP. Models of the other families run through
`library_blocks.LibraryBlocks`, which is slower and gives the same numbers.

Shapes: N rows, T positions, D = d_model, d head width, K key-value heads, G query heads a key-value
head, P prefix positions, S = P + T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from metasae.lm.blocks import AttentionInputs, Blocks, KeysValues, additive_mask, behind
from metasae.lm.library_blocks import LibraryBlocks
from metasae.lm.matmul import Product, fast_dtype_of_products
from metasae.lm.next_tokens import NearTokens, NextTokens, Unembedding


@dataclass(frozen=True)
class _Block:
    """One block's weights; ``first`` is (K·(G + 2)·d, D): queries, then keys, then values."""

    first: Product
    out: Product
    gate_up: Product
    down: Product


class FusedBlocks:
    """Consecutive blocks of a Llama-style model, in one precision; the residual stream is fp32.

    Args:
        layers: numbers of the blocks.
        dtype: precision of the weights and products.
    """

    def __init__(self, hf: Any, layers: range, dtype: torch.dtype = torch.float32) -> None:
        config = hf.config
        self.dtype = dtype
        self.heads, self.shared = config.num_attention_heads, config.num_key_value_heads
        self.eps = config.rms_norm_eps
        self._rotary = hf.model.rotary_emb
        with torch.inference_mode():
            self._blocks = [_fused(hf.model.layers[layer], dtype) for layer in layers]
            self._unembed = Product((hf.lm_head.weight * hf.model.norm.weight).to(dtype))
        self._unembedding = Unembedding(
            hf.lm_head.weight, hf.model.norm.weight, rough=dtype != torch.float32
        )

    def attention_inputs(
        self, positions: Int[Tensor, "N T"], attend: Bool[Tensor, "N T S"]
    ) -> AttentionInputs:
        """See `blocks.Blocks.attention_inputs`."""
        cos, sin = self._rotary(torch.zeros(1), positions)
        # The second half of a head turns against the first: with its sign in the sine, a turn is
        # one exchange of halves.
        half = sin.shape[-1] // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)
        rotary = cos[:, :, None].to(self.dtype), sin[:, :, None].to(self.dtype)
        return AttentionInputs(positions, additive_mask(attend, self.dtype), rotary)

    @torch.inference_mode()
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
        x = resid
        for number, block in enumerate(self._blocks):
            made = self._projected(block, x, differ if number == 0 else None)
            query, key, value = self._attention_input(made, inputs)
            if seen is not None:
                seen.append((key, value))
            if prefix is not None:
                key, value = behind(prefix[number], key, value)
            mask = inputs.mask
            if only is not None and number == len(self._blocks) - 1:
                query, x, mask = query[:, only], x[:, only], mask[:, :, only]
            mixed = self._mix(query, key, value, mask)
            # In place but for what was given: fresh memory of this size costs more than the sum.
            x = x + block.out(mixed) if x is resid else x.add_(block.out(mixed))
            gate, up = block.gate_up(self._normed(x)).chunk(2, dim=-1)
            x.add_(block.down(silu(gate).mul_(up)))
        return x

    def _projected(
        self, block: _Block, x: Float[Tensor, "N T D"], differ: Int[Tensor, " E"] | None
    ) -> Float[Tensor, "N T O"]:
        """Queries, keys and values before they are turned.

        Args:
            differ: the positions at which rows differ; the others are worked out for one row.
        """
        if differ is None or len(x) == 1:
            return block.first(self._normed(x))
        made = block.first(self._normed(x[:1])).repeat(len(x), 1, 1)
        made[:, differ] = block.first(self._normed(x[:, differ]))
        return made

    def _attention_input(
        self, made: Float[Tensor, "N T O"], inputs: AttentionInputs
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (N T H d) and keys and values (N K T d), turned to their positions."""
        rows, length, _ = made.shape
        made = made.view(rows, length, self.heads + 2 * self.shared, -1)
        turned, value = made.split([self.heads + self.shared, self.shared], dim=2)
        half = turned.shape[-1] // 2
        exchanged = turned.roll(half, dims=-1)
        cos, sin = inputs.rotary
        turned = torch.addcmul(turned * cos, exchanged, sin)
        query, key = turned.split([self.heads, self.shared], dim=2)
        return query, key.transpose(1, 2), value.transpose(1, 2)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attention's output (N T H·d); query heads that share keys are laid behind each other."""
        rows, length, heads, width = query.shape
        group = heads // self.shared
        query = query.view(rows, length, self.shared, group, width).permute(0, 2, 3, 1, 4)
        query = query.reshape(rows, self.shared, group * length, width)
        mixed = scaled_dot_product_attention(query, key, value, mask.repeat(1, 1, group, 1))
        mixed = mixed.view(rows, self.shared, group, length, width).permute(0, 3, 1, 2, 4)
        return mixed.reshape(rows, length, heads * width)

    def _normed(self, x: Tensor) -> Tensor:
        """RMS norm without its gain, in the products' precision."""
        return self._exactly_normed(x).to(self.dtype)

    def _exactly_normed(self, x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * (size.square() / x.shape[-1] + self.eps).rsqrt()

    @torch.inference_mode()
    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """See `blocks.Blocks.unembed`."""
        return self._unembed(self._normed(hidden))

    def next_tokens(self, place: Int[Tensor, " W"], token: Int[Tensor, " W"]) -> NextTokens:
        """See `blocks.Blocks.next_tokens`."""
        return NearTokens(
            self._unembedding,
            self._exactly_normed,
            self.unembed,
            place,
            token,
            lambda: fast_dtype_of_products() == torch.bfloat16,
        )


def _fused(layer: Any, dtype: torch.dtype) -> _Block:
    attention, mlp = layer.self_attn, layer.mlp
    made = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
    gate_up = [mlp.gate_proj.weight, mlp.up_proj.weight]
    return _Block(
        first=Product((torch.cat(made) * layer.input_layernorm.weight).to(dtype)),
        out=Product(attention.o_proj.weight.to(dtype)),
        gate_up=Product((torch.cat(gate_up) * layer.post_attention_layernorm.weight).to(dtype)),
        down=Product(mlp.down_proj.weight.to(dtype)),
    )


def make_blocks(hf: Any, layers: range, dtype: torch.dtype) -> Blocks:
    """The fastest implementation of some of a model's blocks."""
    config = hf.config
    fits = (
        config.model_type == "llama"
        and config.hidden_act == "silu"
        and not (config.attention_bias or config.mlp_bias)
    )
    return FusedBlocks(hf, layers, dtype) if fits else LibraryBlocks(hf, layers, dtype)
