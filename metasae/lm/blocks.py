"""What running a model's blocks takes and gives, whichever implementation runs them.

Shapes: N rows, T positions, D = d_model, K key-value heads, d head width, P prefix positions,
S = P + T, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.next_tokens import NextTokens

KeysValues = tuple[Float[Tensor, "N K P d"], Float[Tensor, "N K P d"]]


@dataclass(frozen=True)
class AttentionInputs:
    """Positions and attention masks of rows of tokens; one entry may serve all rows.

    Attributes:
        positions: of the tokens in their sequences.
        mask: added to the attention scores, 0 where a position may attend and −∞ where not,
            prefix slots first.
        rotary: cosine and sine of every position's rotary embedding, (N, T, 1, d) each; empty for
            blocks that compute them.
    """

    positions: Int[Tensor, "N T"]
    mask: Float[Tensor, "N 1 T S"]
    rotary: tuple[Tensor, ...] = ()

    def rows(self, index: Tensor) -> "AttentionInputs":
        """The positions and masks of some rows."""
        rotary = tuple(one[index] for one in self.rotary)
        return AttentionInputs(self.positions[index], self.mask[index], rotary)


class Blocks(Protocol):
    """Consecutive blocks of a model, in one precision.

    Attributes:
        dtype: precision of the weights and products.
    """

    dtype: torch.dtype

    def attention_inputs(
        self, positions: Int[Tensor, "N T"], attend: Bool[Tensor, "N T S"]
    ) -> AttentionInputs:
        """What the blocks need of rows' positions and of what they may attend to.

        Args:
            positions: of the tokens in their sequences.
            attend: which slots a token may attend to, prefix slots first; at least one each.
        """
        ...

    def run(
        self,
        resid: Float[Tensor, "N T D"],
        inputs: AttentionInputs,
        prefix: Sequence[KeysValues] | None = None,
        seen: list[KeysValues] | None = None,
        only: Int[Tensor, " A"] | None = None,
        differ: Int[Tensor, " E"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """Hidden states after the last block.

        Args:
            prefix: per block the keys and values of the positions before these.
            seen: a list to which each block's own keys and values are appended.
            only: positions to return (and to compute the last block for); all when left out.
            differ: positions at which the rows differ; all when left out. What is the same in all
                rows may then be computed once.
        """
        ...

    def unembed(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N V"]:
        """Logits of hidden states that left the model's last block, in ``dtype``."""
        ...

    def next_tokens(self, place: Int[Tensor, " W"], token: Int[Tensor, " W"]) -> NextTokens:
        """A function from hidden states that left the last block to tokens' log-probabilities.

        Args:
            place, token: of every token, the place after which it comes and its id.
        """
        ...


def additive_mask(attend: Bool[Tensor, "N T S"], dtype: torch.dtype) -> Float[Tensor, "N 1 T S"]:
    """What is added to attention scores: 0 where a position may attend and −∞ where not."""
    return torch.zeros(attend.shape).masked_fill(~attend, float("-inf"))[:, None].to(dtype)


def behind(prefix: KeysValues, key: Tensor, value: Tensor) -> KeysValues:
    """Keys and values (N, K, T, d) behind those of a prefix, which one row may have for all."""
    rows = len(key)
    before_key, before_value = prefix
    return (
        torch.cat([before_key.expand(rows, -1, -1, -1), key], dim=2),
        torch.cat([before_value.expand(rows, -1, -1, -1), value], dim=2),
    )
