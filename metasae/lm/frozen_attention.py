"""Blocks whose attention patterns stay those of an unedited run, whatever is edited below them.

What a position attends to is decided by queries and keys. Here those of the unedited run serve all
rows, so the patterns are the unedited ones in every block; the values that are moved, and all else,
are each row's own.

Shapes: N rows, T positions, D = d_model.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AttentionInterface

from metasae.lm.blocks import AttentionInputs, KeysValues
from metasae.lm.library_blocks import LibraryBlocks

_NAME = "patterns_of_first_row"
"""How transformers finds `_first_row`."""


def _first_row(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **more: Any
) -> tuple[Tensor, Tensor | None]:
    """Attention of every row with the first one's pattern, as transformers calls it."""
    whole = AttentionInterface()["sdpa"]
    query, key = query[:1].expand_as(query), key[:1].expand_as(key)
    made: tuple[Tensor, Tensor | None] = whole(module, query, key, value, mask, **more)
    return made


AttentionInterface.register(_NAME, _first_row)


class FrozenBlocks(LibraryBlocks):
    """Consecutive blocks, in fp32, that keep the patterns of an unedited run; see `blocks.Blocks`.

    The model they are of stays as it is: they are a copy that shares its weights.

    Args:
        unedited: the residual stream that the patterns are of.
    """

    def __init__(self, hf: Any, layers: range, unedited: Float[Tensor, "1 T D"]) -> None:
        shared = {id(weight): weight for weight in (*hf.parameters(), *hf.buffers())}
        frozen = copy.deepcopy(hf, shared)
        frozen.config._attn_implementation = _NAME
        super().__init__(frozen, layers)
        self._unedited = unedited

    def run(
        self,
        resid: Float[Tensor, "N T D"],
        inputs: AttentionInputs,
        prefix: Sequence[KeysValues] | None = None,
        seen: list[KeysValues] | None = None,
        only: Int[Tensor, " A"] | None = None,
        differ: Int[Tensor, " E"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """See `blocks.Blocks.run`; all rows are of the same tokens."""
        both = torch.cat([self._unedited, resid])
        return super().run(both, inputs, prefix, seen, only)[1:]
