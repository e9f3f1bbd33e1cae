"""Scores combinations in batches whose size is measured while working.

Shapes: N combinations, P pieces, A answers of all questions.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.search.combinations import Combinations
from metasae.search.patterns import Chunk
from metasae.steering.experiment import Experiment, PreparedExperiment

POSITIONS = 4096
"""Most tail positions that go through the blocks together."""

_SIZES = (512, 1024, 2048, POSITIONS)
"""Batches of tail positions: tried in turn, the fastest stays."""


@dataclass
class Engine:
    """Scores combinations of one experiment in one precision, equal directions once.

    Attributes:
        told: called after every batch with the share that is done of what was asked for.
    """

    experiment: Experiment
    combinations: Combinations
    dtype: torch.dtype = torch.float32
    told: Callable[[float], object] = lambda share: None
    _seconds: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in _SIZES})

    @cached_property
    def prepared(self) -> PreparedExperiment:
        """The experiment's prompts, to be run in this precision."""
        prepared = self.experiment.prepared(self.combinations.options)
        if self.dtype == torch.float32:
            return prepared
        return prepared.to(self.experiment.model.blocks(self.dtype))

    def logprobs(self, numbers: Sequence[int] | np.ndarray) -> Float[Tensor, "N A"]:
        """Log-probability of every answer under some combinations, in nats.

        NaN where an edit leaves nothing of a direction.
        """
        options, numbers = self.combinations.options, np.asarray(numbers, dtype=np.int64)
        made = self.experiment.space.directions(
            self.combinations.strengths(numbers),
            options,
        )
        gone = ~made.any(-1).all(-1)
        W_dec = self.experiment.decomposition.sae.W_dec[list(self.experiment.source.latents)]
        change = made - W_dec
        # As everywhere: a meta-latent edit without strengths keeps the directions as they are.
        change[torch.from_numpy(numbers == 0)] = 0.0
        distinct, back = _distinct(change)
        scores = self._run(distinct, not options.keep_error)[back]
        scores[gone] = math.nan
        return scores

    def scored_chunk(self, numbers: np.ndarray) -> Chunk:
        """Some combinations with their scores and the verdict on them."""
        scores = self.logprobs(numbers)
        return Chunk.judged(numbers, scores, self.experiment.verdict(scores))

    def _run(self, change: Float[Tensor, "N S D"], drop_error: bool) -> Float[Tensor, "N A"]:
        if not len(change):
            return torch.empty(0, self.prepared.prompts.count)
        tail = self.prepared.prompts.prefilled.resid.shape[1]
        scores, begin = [], 0
        while begin < len(change):
            size = self._size()
            rows = change[begin : begin + max(1, size // tail)]
            began = time.perf_counter()
            scores.append(self.prepared.logprobs(rows, drop_error))
            if len(rows) == max(1, size // tail) and len(self._seconds[size]) < 2:
                self._seconds[size].append((time.perf_counter() - began) / len(rows))
            begin += len(rows)
            self.told(begin / len(change))
        return torch.cat(scores)

    def _size(self) -> int:
        """Tail positions of the next batch: each size twice, then the fastest.

        Twice, since the first batch of a size also makes the products' kernels.
        """
        for size in _SIZES:
            if len(self._seconds[size]) < 2:
                return size
        return min(_SIZES, key=lambda size: min(self._seconds[size]))


@dataclass
class RememberingEngine(Engine):
    """An engine that looks up the combinations whose scores are known already.

    Attributes:
        known: combination → its scores.
    """

    known: dict[int, Tensor] = field(default_factory=dict)

    def logprobs(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """See `Engine.logprobs`."""
        asked = np.asarray(numbers, dtype=np.int64).tolist()
        fresh = [number for number in asked if number not in self.known]
        if fresh:
            self.known |= dict(zip(fresh, super().logprobs(fresh), strict=True))
        return torch.stack([self.known[number] for number in asked])


def _distinct(change: Float[Tensor, "N S D"]) -> tuple[Tensor, Tensor]:
    """Changes that differ, and for each row which of them it is."""
    keys = (change.flatten(1) * 1e5).round().to(torch.int32).numpy()
    _, first, back = np.unique(
        np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1] * 4)))[:, 0],
        return_index=True, return_inverse=True,
    )  # fmt: skip
    return change[torch.from_numpy(first)], torch.from_numpy(back)
