"""Scores combinations in batches whose size is measured while working.

Shapes: N combinations, M of them that differ, P pieces, S source latents, D = d_model, A answers of
all questions.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae.search.combinations import Combinations
from metasae.search.patterns import Chunk
from metasae.steering.experiment import Experiment, PreparedExperiment
from metasae.steering.own_words import OwnTokens

T = TypeVar("T")

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
        distinct, back, gone = self._changes(numbers)
        scores = torch.empty(0, self.prepared.prompts.count)
        if len(distinct):
            scores = torch.cat(list(self._run(distinct, self.prepared.logprobs)))
        return _unscored(scores[back], gone)

    def logprobs_with_own(
        self, numbers: Sequence[int] | np.ndarray
    ) -> tuple[Float[Tensor, "N A"], OwnTokens]:
        """The same, and what the model itself goes on with; exact in fp32."""
        distinct, back, gone = self._changes(numbers)
        runs = list(self._run(distinct, self.prepared.logprobs_with_own))
        scores = torch.cat([scores for scores, _ in runs])[back]
        top = torch.cat([own.top for _, own in runs])[back]
        says = torch.cat([own.says for _, own in runs])[back]
        return _unscored(scores, gone), OwnTokens(top, says)

    def _changes(
        self, numbers: Sequence[int] | np.ndarray
    ) -> tuple[Float[Tensor, "M S D"], Int[Tensor, " N"], Bool[Tensor, " N"]]:
        """The changes of directions that differ, which of them each combination makes, and where
        nothing is left of a direction."""
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
        return *_distinct(change), gone

    def scored_chunk(self, numbers: np.ndarray) -> Chunk:
        """Some combinations with their scores and the verdict on them."""
        if not self.experiment.strict:
            scores = self.logprobs(numbers)
            return Chunk.judged(numbers, scores, self.experiment.verdict(scores))
        scores, own = self.logprobs_with_own(numbers)
        return Chunk.judged(numbers, scores, self.experiment.verdict(scores, own))

    def _run(
        self, change: Float[Tensor, "N S D"], run: Callable[[Float[Tensor, "N S D"], bool], T]
    ) -> Iterator[T]:
        """What a run gives of some changes, a batch at a time."""
        prefilled = self.prepared.prompts.prefilled
        tail, lock = prefilled.resid.shape[1], prefilled.lock
        drop_error, begin = not self.combinations.options.keep_error, 0
        while begin < len(change):
            # While others use the model, too, they wait for no more than the smallest batch.
            size = _SIZES[0] if lock.shared else self._size()
            rows = change[begin : begin + max(1, size // tail)]
            began = time.perf_counter()
            yield run(rows, drop_error)
            # What was waited for others says nothing of a size.
            full = len(rows) == max(1, size // tail)
            if full and not lock.shared and len(self._seconds[size]) < 2:
                self._seconds[size].append((time.perf_counter() - began) / len(rows))
            begin += len(rows)
            self.told(begin / len(change))

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
        judged: combination → its pattern and margin, which of a strict search the scores alone
            don't tell.
    """

    known: dict[int, Tensor] = field(default_factory=dict)
    judged: dict[int, tuple[int, float]] = field(default_factory=dict)

    def logprobs(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """See `Engine.logprobs`."""
        asked = np.asarray(numbers, dtype=np.int64).tolist()
        fresh = [number for number in asked if number not in self.known]
        if fresh:
            self.known |= dict(zip(fresh, super().logprobs(fresh), strict=True))
        return torch.stack([self.known[number] for number in asked])

    def scored_chunk(self, numbers: np.ndarray) -> Chunk:
        """See `Engine.scored_chunk`; of a strict search the verdict is looked up too."""
        if not self.experiment.strict:
            return super().scored_chunk(numbers)
        asked = np.asarray(numbers, dtype=np.int64).tolist()
        if fresh := [number for number in asked if number not in self.judged]:
            made = super().scored_chunk(np.array(fresh, dtype=np.int64))
            self.known |= dict(zip(fresh, made.scores, strict=True))
            judged = zip(made.pattern.tolist(), made.margin.tolist(), strict=True)
            self.judged |= dict(zip(fresh, judged, strict=True))
        scores = torch.stack([self.known[number] for number in asked])
        verdicts = [self.judged[number] for number in asked]
        pattern, margin = (np.array(one) for one in zip(*verdicts, strict=True))
        return Chunk(numbers, scores, pattern, margin)


def _unscored(scores: Float[Tensor, "N A"], gone: Bool[Tensor, " N"]) -> Float[Tensor, "N A"]:
    scores[gone] = math.nan
    return scores


def _distinct(change: Float[Tensor, "N S D"]) -> tuple[Tensor, Tensor]:
    """Changes that differ, and for each row which of them it is."""
    keys = (change.flatten(1) * 1e5).round().to(torch.int32).numpy()
    _, first, back = np.unique(
        np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1] * 4)))[:, 0],
        return_index=True, return_inverse=True,
    )  # fmt: skip
    return change[torch.from_numpy(first)], torch.from_numpy(back)
