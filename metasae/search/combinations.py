"""Every choice of strengths for a source's and a target's own meta-latents, by number."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.steering.edit_space import Piece
from metasae.steering.edits import EditOptions, MetaLatentEdit
from metasae.steering.experiment import Experiment


@dataclass(frozen=True)
class Combinations:
    """Every choice of strengths for a pair's own pieces, by number; number 0 changes nothing.

    Shapes: N combinations, P pieces.

    Attributes:
        pieces: all pieces of the pair.
        levels: for each of them the strengths it may take, its default first.
        options: what all these edits have in common.
    """

    pieces: tuple[Piece, ...]
    levels: tuple[tuple[float, ...], ...]
    options: EditOptions

    @staticmethod
    def of(
        experiment: Experiment,
        options: EditOptions = EditOptions(),  # noqa: B008 - frozen
        removed: Sequence[float] = (0.0,),
        added: Sequence[float] = (1.0,),
    ) -> "Combinations":
        """The pair's combinations.

        Args:
            removed: strengths a piece of the source's own may take beside 1.
            added: strengths a piece of the target's own may take beside 0.

        Raises:
            UserError: when a side has no meta-latents of its own, or the edits are of every latent.
        """
        if options.everywhere:
            raise UserError(
                "A search changes the source's latents alone; leave out the edit in every latent."
            )
        source, target = experiment.source, experiment.target
        for side, subject, other in (("source", source, target), ("target", target, source)):
            if not any(piece.side == side for piece in experiment.pieces):
                raise UserError(
                    f"{subject.label} has no meta-latents of its own beside {other.label}'s; "
                    "choose another pair or other latents."
                )
        choices = {"source": (1.0, *removed), "target": (0.0, *added), "shared": (1.0,)}
        levels = tuple(tuple(dict.fromkeys(choices[piece.side])) for piece in experiment.pieces)
        return Combinations(experiment.pieces, levels, options)

    def __len__(self) -> int:
        return min(math.prod(map(len, self.levels)), sys.maxsize)

    @cached_property
    def _table(self) -> list[Tensor]:
        return [torch.tensor(levels) for levels in self.levels]

    def strengths(self, numbers: Sequence[int] | np.ndarray) -> Float[Tensor, "N P"]:
        """Strength of every piece in some combinations."""
        left = np.asarray(numbers, dtype=np.int64)
        columns = []
        for levels in self._table:
            left, digit = np.divmod(left, len(levels))
            columns.append(levels[torch.from_numpy(digit)])
        return torch.stack(columns, dim=1)

    def edit(self, number: int) -> MetaLatentEdit:
        """One combination as an edit."""
        row = self.strengths([number])[0].tolist()
        changed = tuple(
            (piece.meta, strength)
            for piece, strength in zip(self.pieces, row, strict=True)
            if strength != piece.default
        )
        return MetaLatentEdit(changed, options=self.options)
