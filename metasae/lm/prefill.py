"""Prompts whose lower layers and prefix are computed; an edit reruns only their tails.

Shapes: B rows of tokens, T tail positions, D = d_model, P prefix positions, S = P + T what a tail
position may attend to, N rows run above the hook at once.
"""

import functools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.blocks import AttentionInputs, Blocks, KeysValues
from metasae.lm.turns import Turns


@dataclass(frozen=True)
class Prefilled:
    """Rows of tokens whose lower layers and prefix are computed; an edit reruns only the tails.

    Attributes:
        blocks: the blocks above the hook that run the tails.
        lock: the model's lock, held while they run.
        slots: index in its row of every tail token, right-padded.
        real: which slots are no padding.
        resid: unedited residual stream at the hook at the tail positions.
        final: unedited hidden states after the last block at the tail positions.
        prefix: per block above the hook, the keys and values of the prefix.
        attend: where a tail position may attend, prefix slots first.
        positions: positions of the tail tokens in their sequences.
    """

    blocks: Blocks
    lock: Turns
    slots: Int[Tensor, "B T"]
    real: Bool[Tensor, "B T"]
    resid: Float[Tensor, "B T D"]
    final: Float[Tensor, "B T D"]
    prefix: tuple[KeysValues, ...]
    attend: Bool[Tensor, "B T S"]
    positions: Int[Tensor, "B T"]

    @functools.cached_property
    def _inputs(self) -> AttentionInputs:
        return self.blocks.attention_inputs(self.positions, self.attend)

    def to(self, blocks: Blocks) -> "Prefilled":
        """The same rows, run by other blocks, such as ones of another precision."""
        prefix = tuple((key.to(blocks.dtype), value.to(blocks.dtype)) for key, value in self.prefix)
        return replace(self, blocks=blocks, prefix=prefix)

    def part(self, tail: Int[Tensor, " t"]) -> "Prefilled":
        """Some tail positions of the only row, ascending, with what they attend to.

        Args:
            tail: which; all that one of them attends to among them.
        """
        before = self.attend.shape[-1] - self.attend.shape[-2]
        attend = self.attend[:, tail]
        there = attend[0, :, :before].any(0).nonzero()[:, 0]
        return replace(
            self,
            slots=self.slots[:, tail],
            real=self.real[:, tail],
            resid=self.resid[:, tail],
            final=self.final[:, tail],
            prefix=tuple((key[:, :, there], value[:, :, there]) for key, value in self.prefix),
            attend=attend[..., torch.cat([there, before + tail])],
            positions=self.positions[:, tail],
        )

    def differentiable(self, blocks: Blocks) -> "Prefilled":
        """The same rows, run by blocks through which gradients flow."""
        # What was made in inference mode can't take part in a gradient; a copy can.
        return Prefilled(
            blocks=blocks,
            lock=self.lock,
            slots=self.slots.clone(),
            real=self.real.clone(),
            resid=self.resid.clone(),
            final=self.final.clone(),
            prefix=tuple((key.clone(), value.clone()) for key, value in self.prefix),
            attend=self.attend.clone(),
            positions=self.positions.clone(),
        )

    def finish(
        self,
        resid: Float[Tensor, "N T D"],
        rows: Int[Tensor, " N"] | None = None,
        only: Int[Tensor, " A"] | None = None,
        differ: Int[Tensor, " E"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """Hidden states after the last block, of edited tails.

        Args:
            resid: edited residual streams of the tails.
            rows: index of the row each of them belongs to; left out, they belong to all rows in
                order, or all to the only row.
            only: tail positions to return; all when left out.
            differ: tail positions at which the residual streams differ; all when left out.
        """
        inputs, prefix = self._inputs, self.prefix
        if rows is not None:
            inputs = inputs.rows(rows)
            prefix = tuple((key[rows], value[rows]) for key, value in prefix)
        with self.lock:
            return self.blocks.run(resid, inputs, prefix, only=only, differ=differ)
