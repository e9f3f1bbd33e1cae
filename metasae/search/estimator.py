"""Estimates of every combination's answers, learnt from those scored so far.

What an edit adds to the residual stream is cheap to work out for any combination, renormalisation
included; only the blocks above the hook are dear. So every question's answers are learnt as smooth
functions of that change: Gaussian processes, fitted to the combinations scored so far, give for any
other one an estimate and its standard deviation, and so which of them may turn out best for a
pattern.

While the combinations can be listed, all are estimated; beyond that, those one move away from the
most promising ones, moved on until nothing improves, and some at random.

Shapes: N combinations, M of them scored, S source latents, D = d_model, K dimensions the pieces
span, Q questions, A answers of a question.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.search.engine import Engine
from metasae.search.gaussian_process import Process
from metasae.search.patterns import Chunk
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import pattern_code

LISTED = 2**16
"""Combinations up to which every one is estimated in every round."""

FIRST = 12
"""Combinations scored before there is anything to learn from: as unlike each other as possible."""

CERTAIN = 1e-3
"""Estimates with a standard deviation below this are treated as exact (nats)."""

_DRAWN = 512
"""Combinations drawn at random in a round when they cannot all be listed."""

_KEPT = 2
"""Combinations of each pattern that moves are made from."""

_STEPS = 40
"""Moves in a row."""

_CHUNK = 4096
"""Combinations estimated together."""


class Changes:
    """What combinations add to the residual stream, question by question, in few dimensions.

    Distances are kept: every change lies in the span of the pieces, the meta-SAE's bias and the
    source's own directions, and each source latent counts as it fires where the edit is made.

    Args:
        some: combinations from which the usual spread of changes, the unit of `of`, is taken.
    """

    def __init__(self, engine: Engine, some: np.ndarray) -> None:
        self.experiment, self.combinations = engine.experiment, engine.combinations
        meta = self.experiment.decomposition.meta
        self._own = self.experiment.decomposition.sae.W_dec[list(self.experiment.source.latents)]
        metas = [piece.meta for piece in self.combinations.pieces]
        span = torch.cat([meta.W_dec[metas], meta.b_dec[None], self._own])
        self._basis = torch.linalg.qr(span.double().T).Q.float()
        prepared = engine.prepared
        self._firing = [
            torch.linalg.qr((prepared.firing.source * here[:, None]).double()).R
            for here in prepared.prompts.seen & prepared.touched
        ]
        self._spread = [
            float((x - x.mean(0)).square().sum(1).mean().sqrt()) or 1.0 for x in self.plain(some)
        ]

    def of(self, numbers: np.ndarray) -> list[Float[Tensor, "N K"]]:
        """Some combinations' changes: a tensor per question, in units of their usual spread."""
        return [x / spread for x, spread in zip(self.plain(numbers), self._spread, strict=True)]

    def plain(self, numbers: np.ndarray) -> list[Float[Tensor, "N K"]]:
        """Some combinations' changes: a tensor per question, in the residual stream's units."""
        options, parts = self.combinations.options, []
        for begin in range(0, len(numbers), _CHUNK):
            some = numbers[begin : begin + _CHUNK]
            made = self.experiment.space.directions(
                self.combinations.strengths(some),
                options,
            )
            change = (made - self._own) @ self._basis
            change[torch.from_numpy(some == 0)] = 0.0
            parts.append(change.double())
        change = torch.cat(parts)
        return [torch.einsum("rs,nsk->nrk", firing, change).flatten(1) for firing in self._firing]


@dataclass(frozen=True)
class Picks:
    """The answers of one question that decide whether its attribute stays or moves.

    Attributes:
        answers: places of the question's answers among all questions' answers.
        before: place, among the question's own, of the answer the unedited model picks.
        targets: places of the target's answers, without ``before``.
    """

    answers: slice
    before: int
    targets: tuple[int, ...]

    @staticmethod
    def of(experiment: Experiment) -> "list[Picks]":
        """One for each of an experiment's questions, in their order."""
        questions = experiment.questions
        targets = questions.split(questions.belonging_to(experiment.target.label))
        picks = []
        for answers, own in zip(questions.slices, targets, strict=True):
            before = int(experiment.baseline[answers].argmax())
            others = [place for place in own.nonzero()[:, 0].tolist() if place != before]
            picks.append(Picks(answers, before, tuple(others)))
        return picks

    def leads(
        self, values: Float[Tensor, "N A"], doubt: Float[Tensor, "N A A"] | float = 0.0
    ) -> Float[Tensor, "N 2"]:
        """Lead of the unedited pick, and of the target's answer, over the next candidate, in nats.

        Args:
            values: log-probabilities of the question's answers, up to a constant each.
            doubt: nats added to the lead of each answer over each other.

        Returns:
            In column 0 the lead if the attribute stays, in column 1 if it moves; −∞ where it
            cannot move.
        """
        lead = values[:, :, None] - values[:, None] + doubt
        lead.diagonal(dim1=1, dim2=2).fill_(math.inf)
        lead = lead.amin(2)
        moved = torch.full((len(lead),), -math.inf, dtype=lead.dtype)
        if self.targets:
            moved = lead[:, list(self.targets)].amax(1)
        return torch.stack([lead[:, self.before], moved], dim=1)


class Estimator:
    """Learns from scored combinations which others are worth scoring.

    Attributes:
        numbers: the combinations scored so far.
        scores: their answers' log-probabilities, in nats.
        patterns, margins: as in `steering.verdict.Verdict`; strict in a strict search, while the
            estimates themselves are of the candidates.

    Args:
        listed: combinations up to which every one is estimated in every round.
    """

    def __init__(self, engine: Engine, listed: int = LISTED) -> None:
        self.engine, self.count = engine, len(engine.combinations)
        self.listed = self.count <= listed
        self.draw = np.random.default_rng(0)
        self.picks = Picks.of(engine.experiment)
        self.codes = list(product((0, 1), repeat=len(self.picks)))
        levels = np.array([len(levels) for levels in engine.combinations.levels])
        self._levels, self._strides = levels, np.cumprod([1, *levels[:-1]])
        self.numbers = np.empty(0, dtype=np.int64)
        self.scores = torch.empty(0, engine.experiment.baseline.numel())
        self.patterns, self.margins = np.empty(0, dtype=np.int64), np.empty(0)
        self.changes = Changes(engine, self.drawn())
        self._all = self.changes.of(np.arange(self.count)) if self.listed else None
        self.processes: list[Process] = []

    def drawn(self) -> np.ndarray:
        """Combinations drawn at random; all where there are few."""
        if self.count <= _DRAWN:
            return np.arange(self.count)
        return np.unique(self.draw.integers(0, self.count, _DRAWN))

    def score(self, numbers: np.ndarray) -> Chunk:
        """Run some combinations and learn from them."""
        chunk = self.engine.scored_chunk(numbers)
        self.numbers = np.concatenate([self.numbers, numbers])
        self.scores = torch.cat([self.scores, chunk.scores])
        self.patterns = np.concatenate([self.patterns, chunk.pattern])
        self.margins = np.concatenate([self.margins, chunk.margin])
        return chunk

    def learn(self) -> None:
        """Fit the processes to all combinations scored so far."""
        there = ~self.scores.isnan().any(1)
        scores = self.scores[there].double()
        self.processes = [
            Process.fitted(x, scores[:, pick.answers] - scores[:, pick.answers][:, [pick.before]])
            for pick, x in zip(self.picks, self._of(self.numbers[there.numpy()]), strict=True)
        ]

    def _of(self, numbers: np.ndarray) -> list[Tensor]:
        if self._all is None:
            return self.changes.of(numbers)
        return [x[torch.from_numpy(numbers)] for x in self._all]

    def first(self) -> np.ndarray:
        """Combinations as unlike each other as possible, the unedited one first."""
        some = np.union1d(self.drawn(), [0, self.count - 1])
        x = torch.cat(self._of(some), dim=1)
        chosen, apart = [0], torch.full((len(some),), math.inf)
        while len(chosen) < min(FIRST, len(some)):
            apart = torch.minimum(apart, (x - x[chosen[-1]]).norm(dim=1).float())
            chosen.append(int(apart.argmax()))
        return some[chosen]

    def next(self, doubt: float, most: int) -> np.ndarray:
        """The combinations that may improve most on the best of their pattern, most gain first.

        Args:
            doubt: standard deviations by which an estimate may be off.
            most: how many at most.
        """
        best = self._best()
        pool = np.arange(self.count) if self.listed else self._moved(doubt)
        leads = self._leads(pool, doubt)
        gains: dict[int, float] = {}
        for code, known in zip(self.codes, best, strict=True):
            margin = _margin(leads, code)
            at = int(margin.argmax())
            gain = float(margin[at]) - known
            if gain > 0:
                number = int(pool[at])
                gains[number] = max(gain, gains.get(number, gain))
        return np.array(sorted(gains, key=lambda number: -gains[number])[:most], dtype=np.int64)

    def _best(self) -> list[float]:
        """Per pattern the largest margin scored so far, in nats; 0 where none reaches it."""
        margins = []
        for code in self.codes:
            bits = pattern_code(code)
            here = self.patterns == bits
            # Nothing moves best where nothing is done.
            done = bool((here & (self.numbers == 0)).any()) and not bits
            margins.append(math.inf if done else float(self.margins[here].max(initial=0.0)))
        return margins

    def _leads(self, numbers: np.ndarray, doubt: float) -> Float[Tensor, "N Q 2"]:
        """Largest leads that estimates allow, in nats; −∞ where there is nothing to learn."""
        parts = []
        for begin in range(0, len(numbers), _CHUNK):
            some = numbers[begin : begin + _CHUNK]
            leads, open_ = [], torch.zeros(len(some), dtype=torch.bool)
            for pick, process, x in zip(self.picks, self.processes, self._of(some), strict=True):
                mean, spread = process.estimate(x)
                width = spread[:, None, None] * process.sizes
                leads.append(pick.leads(mean, doubt * width))
                open_ |= width.amax((1, 2)) > CERTAIN
            open_ &= torch.from_numpy(~np.isin(some, self.numbers))
            parts.append(torch.stack(leads, dim=1).masked_fill_(~open_[:, None, None], -math.inf))
        return torch.cat(parts)

    def _moved(self, doubt: float) -> np.ndarray:
        """Combinations worth a look when they cannot all be listed."""
        exact = torch.stack(
            [p.leads(self.scores[:, p.answers].double()) for p in self.picks], dim=1
        )
        pool = np.union1d(self.drawn(), self._neighbours(self._tops(self.numbers, exact)))
        last = np.empty(0, dtype=np.int64)
        for _ in range(_STEPS):
            tops = self._tops(pool, self._leads(pool, doubt))
            if np.array_equal(tops, last):
                break
            last, pool = tops, self._neighbours(tops)
        return pool

    def _tops(self, numbers: np.ndarray, leads: Float[Tensor, "N Q 2"]) -> np.ndarray:
        """The most promising of each pattern."""
        kept = min(_KEPT, len(numbers))
        return np.unique(
            [numbers[_margin(leads, code).topk(kept).indices.numpy()] for code in self.codes]
        )

    def _neighbours(self, numbers: np.ndarray) -> np.ndarray:
        """Some combinations and all that differ from one of them in one piece."""
        digits = numbers[:, None] // self._strides % self._levels
        parts = [numbers]
        for turn in range(1, int(self._levels.max())):
            moved = (digits + turn) % self._levels
            parts.append((numbers[:, None] + (moved - digits) * self._strides).ravel())
        return np.unique(np.concatenate(parts))


def _margin(leads: Float[Tensor, "N Q 2"], code: Sequence[int]) -> Float[Tensor, " N"]:
    return leads[:, range(len(code)), list(code)].amin(1)
