"""Prompts whose lower layers and prefix are done; an edit reruns only their tails.

Shapes: B rows of tokens, T tail positions, D = d_model, P prefix positions, S = P + T what a tail
position may attend to, N rows run above the hook at once.
"""

import functools
import threading
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.lm.families import LibraryBlocks
from metasae.lm.fused_blocks import Blocks, KeysValues, Places


@dataclass(frozen=True)
class Prefilled:
    """Rows whose lower layers and prefix are done; only the tails are left to run.

    Attributes:
        blocks: what runs them.
        lock: the model's.
        slots: place in its row of every tail token, right-padded.
        real: which of them are no padding.
        resid: residual stream at the hook, tail positions.
        final: the same after the last block, unedited.
        prefix: per block above the hook, the prefix's keys and values.
        attend: where a tail position may attend, prefix slots first.
        positions: positions of the tail tokens.
    """

    blocks: Blocks | LibraryBlocks
    lock: threading.RLock
    slots: Int[Tensor, "B T"]
    real: Bool[Tensor, "B T"]
    resid: Float[Tensor, "B T D"]
    final: Float[Tensor, "B T D"]
    prefix: tuple[KeysValues, ...]
    attend: Bool[Tensor, "B T S"]
    positions: Int[Tensor, "B T"]

    @functools.cached_property
    def _places(self) -> Places:
        return self.blocks.places(self.positions, self.attend)

    def to(self, blocks: Blocks | LibraryBlocks) -> "Prefilled":
        """The same, run by other blocks."""
        prefix = tuple((key.to(blocks.dtype), value.to(blocks.dtype)) for key, value in self.prefix)
        return replace(self, blocks=blocks, prefix=prefix)

    def finish(
        self,
        resid: Float[Tensor, "N T D"],
        rows: Int[Tensor, " N"] | None = None,
        only: Int[Tensor, " A"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """Run the blocks above the hook on edited tails.

        Args:
            resid: edited residual streams of the tails.
            rows: which row each of them belongs to. Left out: all in order, or all of the one row
                there is.
            only: tail positions wanted; all when left out.

        Returns:
            Hidden states after the last block.
        """
        places, prefix = self._places, self.prefix
        if rows is not None:
            places = places.rows(rows)
            prefix = tuple((key[rows], value[rows]) for key, value in prefix)
        with self.lock:
            return self.blocks.run(resid, places, prefix, only=only)
