"""All ways to change the strengths of a pair's own meta-latents, and what each one reaches.

Nothing is done twice: the lower layers and everything before the first edited token run once per
prompt (`steering.Case`), prompts and answers share what they begin with, only positions an answer
is read from are computed in the last block and unembedded, equal directions are scored once. What
is left of all prompts goes through the blocks together, in batches whose size is measured while
working.

A *screened* search runs in bf16 and runs whatever it reports again in fp32.

Shapes: N combinations, P pieces, A answers of all questions.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.edits import Edit, Piece
from metasae.errors import UserError
from metasae.products import fast_dtype_of_products
from metasae.progress import Progress, silent
from metasae.steering import Case, Prepared

MOST_EXACT = 2**16
"""Combinations up to which all of them are scored."""

CHUNK = 1024
"""Combinations that are scored, reported and written together."""

POSITIONS = 4096
"""Most tail positions that go through the blocks together."""

_SIZES = (512, 1024, 2048, POSITIONS)
"""Batches of tail positions: tried in turn, the fastest stays."""

_AHEAD = 16
"""Combinations of each pattern that a screened search runs again in fp32."""

OTHER = -1
"""Code of a combination after which some attribute's pick is neither the target's nor the unedited
one."""


@dataclass(frozen=True)
class Combinations:
    """Every choice of strengths for a pair's own pieces, by number; number 0 changes nothing.

    Attributes:
        pieces: all pieces of the pair.
        levels: for each of them the strengths it may take, its default first.
        options: what all these edits have in common; its strengths are not looked at.
    """

    pieces: tuple[Piece, ...]
    levels: tuple[tuple[float, ...], ...]
    options: Edit

    @staticmethod
    def of(
        case: Case,
        options: Edit | None = None,
        removed: Sequence[float] = (0.0,),
        added: Sequence[float] = (1.0,),
    ) -> "Combinations":
        """The pair's combinations.

        Args:
            removed: strengths a piece of the source's own may take beside 1.
            added: strengths a piece of the target's own may take beside 0.

        Raises:
            UserError: when a side has no meta-latents of its own.
        """
        options = options or Edit()
        for side, subject in (("source", case.source), ("target", case.target)):
            if not any(piece.side == side for piece in case.pieces):
                raise UserError(
                    f"{subject.label} has no meta-latents of its own beside "
                    f"{(case.target if side == 'source' else case.source).label}'s; choose another "
                    "pair or other latents."
                )
        choices = {"source": (1.0, *removed), "target": (0.0, *added), "shared": (1.0,)}
        levels = tuple(tuple(dict.fromkeys(choices[piece.side])) for piece in case.pieces)
        return Combinations(case.pieces, levels, options)

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

    def edit(self, number: int) -> Edit:
        """One combination as an edit."""
        row = self.strengths([number])[0].tolist()
        options = self.options
        changed = tuple(
            (piece.meta, strength)
            for piece, strength in zip(self.pieces, row, strict=True)
            if strength != piece.default
        )
        kind = "meta" if options.kind == "swap" else options.kind
        return Edit(kind, changed, options.keep_residual, options.keep_error, options.position)


@dataclass
class Engine:
    """Scores combinations of one case in one precision.

    Attributes:
        scored: combinations that were run, equal directions once.
        positions: tail positions that went through the blocks.
    """

    case: Case
    combinations: Combinations
    dtype: torch.dtype = torch.float32
    scored: int = 0
    positions: int = 0
    _seconds: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in _SIZES})

    @cached_property
    def prepared(self) -> Prepared:
        """The case's prompts, to be run in this precision."""
        prepared = self.case.prepared(self.combinations.options)
        if self.dtype == torch.float32:
            return prepared
        return prepared.to(self.case.model.blocks(self.dtype))

    def logprobs(self, numbers: Sequence[int] | np.ndarray) -> Float[Tensor, "N A"]:
        """Log-probability of every answer under some combinations, in nats.

        NaN where an edit leaves nothing of a direction.
        """
        options, numbers = self.combinations.options, np.asarray(numbers, dtype=np.int64)
        made = self.case.pair.directions(
            self.combinations.strengths(numbers),
            options.keep_residual,
            options.kind == "hundredfold",
        )
        gone = ~made.any(-1).all(-1)
        W_dec = self.case.decomposition.sae.W_dec[list(self.case.source.latents)]
        change = made - W_dec
        # As everywhere: a meta-latent edit without strengths keeps the directions as they are.
        change[torch.from_numpy(numbers == 0)] = 0.0
        distinct, back = _distinct(change)
        self.scored += len(distinct)
        scores = self._run(distinct, not options.keep_error)[back]
        scores[gone] = math.nan
        return scores

    def _run(self, change: Float[Tensor, "N S D"], drop_error: bool) -> Float[Tensor, "N A"]:
        tail = self.prepared.prefilled.resid.shape[1]
        found, begin = [], 0
        while begin < len(change):
            size = self._size()
            rows = change[begin : begin + max(1, size // tail)]
            began = time.perf_counter()
            found.append(self.prepared.logprobs(rows, drop_error))
            if len(rows) == max(1, size // tail) and len(self._seconds[size]) < 2:
                self._seconds[size].append((time.perf_counter() - began) / len(rows))
            begin += len(rows)
            self.positions += len(rows) * tail
        return torch.cat(found)

    def _size(self) -> int:
        """Tail positions of the next batch: each size twice, then the fastest.

        Twice, since the first batch of a size also makes the products' kernels.
        """
        for size in _SIZES:
            if len(self._seconds[size]) < 2:
                return size
        return min(_SIZES, key=lambda size: min(self._seconds[size]))


def _distinct(change: Float[Tensor, "N S D"]) -> tuple[Tensor, Tensor]:
    """Changes that differ, and for each row which of them it is."""
    keys = (change.flatten(1) * 1e5).round().to(torch.int32).numpy()
    _, first, back = np.unique(
        np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1] * 4)))[:, 0],
        return_index=True, return_inverse=True,
    )  # fmt: skip
    return change[torch.from_numpy(first)], torch.from_numpy(back)


@dataclass(frozen=True)
class Judged:
    """What combinations reached.

    Attributes:
        pattern: a bit per question, set where the pick moved to the target's answer; `OTHER` where
            some pick is neither the target's nor the unedited one.
        margin: smallest lead over the questions, in nats, of the pick over the next candidate.
    """

    pattern: np.ndarray
    margin: np.ndarray


def judge(case: Case, scores: Float[Tensor, "N A"]) -> Judged:
    """Which attributes moved, by the likeliest candidate answer, and how clearly."""
    pattern = np.zeros(len(scores), dtype=np.int64)
    margin = np.full(len(scores), np.inf)
    strange = np.isnan(scores.numpy()).any(1)
    place = 0
    for bit, question in enumerate(case.questions):
        part = slice(place, place + len(question.answers))
        place = part.stop
        after, before = scores[:, part], case.baseline[part]
        old = int(before.argmax())
        top = after.topk(min(2, after.shape[1]), dim=1)
        pick = top.indices[:, 0].numpy()
        targets = np.array(
            [case.target.label in answer.city.split(", ") for answer in question.answers]
        )
        moved = pick != old
        strange |= moved & ~targets[pick]
        pattern |= moved.astype(np.int64) << bit
        if after.shape[1] > 1:
            margin = np.minimum(margin, (top.values[:, 0] - top.values[:, 1]).numpy())
    pattern[strange] = OTHER
    return Judged(pattern, margin)


@dataclass(frozen=True)
class Chunk:
    """Some scored combinations.

    Attributes:
        numbers: which.
        scores: (N, A), nats; bf16 precision in a screened search.
    """

    numbers: np.ndarray
    scores: Float[Tensor, "N A"]
    judged: Judged


@dataclass(frozen=True)
class Found:
    """The best edit for one pattern of moved attributes, verified in fp32.

    Attributes:
        edit: the edit.
        pattern: attribute → whether its likeliest candidate answer is now the target's.
        margin: the smallest lead, over the attributes, of the intended answer (the target's where
            it moved, the unedited pick where it stayed) over the next candidate, in nats.
        sentence: what the edit did, in words.
        number: of the combination.
        reached_by: share of all combinations that reach the pattern.
    """

    edit: Edit
    pattern: dict[str, bool]
    margin: float
    sentence: str
    number: int = 0
    reached_by: float = 0.0


def scan(engine: Engine, begin: int = 0, progress: Progress = silent) -> Iterator[Chunk]:
    """Score all combinations from one on, a chunk at a time."""
    count = len(engine.combinations)
    for start in range(begin, count, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, count))
        scores = engine.logprobs(numbers)
        yield Chunk(numbers, scores, judge(engine.case, scores))
        done = int(numbers[-1]) + 1
        progress("Searching edits", done / count, f"{done:,} of {count:,} combinations")


class Leaders:
    """The clearest combinations of every pattern seen so far."""

    def __init__(self, keep: int = 1) -> None:
        self.keep = keep
        self.counts: dict[int, int] = {}
        self._best: dict[int, list[tuple[float, int]]] = {}

    def see(self, chunk: Chunk) -> None:
        """Take some scored combinations into account."""
        pattern, margin = chunk.judged.pattern, chunk.judged.margin
        for code in np.unique(pattern).tolist():
            here = np.flatnonzero(pattern == code)
            self.counts[code] = self.counts.get(code, 0) + len(here)
            if code == OTHER:
                continue
            # Nothing moves best where nothing is done: number 0 changes nothing.
            lead = np.where((chunk.numbers[here] == 0) & (code == 0), np.inf, margin[here])
            top = here[np.argsort(-lead, kind="stable")[: self.keep]]
            leads = np.sort(-lead, kind="stable")[: self.keep]
            both = self._best.get(code, []) + [
                (float(-one), int(chunk.numbers[at])) for one, at in zip(leads, top, strict=True)
            ]
            self._best[code] = sorted(both, key=lambda pair: (-pair[0], pair[1]))[: self.keep]

    def numbers(self) -> list[int]:
        """All combinations that are kept."""
        return sorted({number for best in self._best.values() for _, number in best})

    def best(self) -> dict[int, int]:
        """Pattern → its clearest combination."""
        return {code: best[0][1] for code, best in self._best.items()}


def check_size(combinations: Combinations, most: int = MOST_EXACT) -> None:
    """Raise when there are too many combinations to score them all.

    Raises:
        UserError: then.
    """
    if len(combinations) > most:
        raise UserError(
            f"There are {len(combinations):,} combinations and all are scored up to {most:,}; "
            "choose fewer latents or strengths, or let the search estimate which to score "
            "(--estimate; on the page, Search by estimate)."
        )


def search(
    case: Case,
    combinations: Combinations | None = None,
    screened: bool | None = None,
    most: int = MOST_EXACT,
    progress: Progress = silent,
) -> tuple[Found, ...]:
    """For every reachable pattern the edit with the largest smallest margin, fewest moves first.

    An attribute whose answer source and target share cannot move.

    Args:
        screened: go through all in bf16 first; by default where that is fast and worth it.

    Raises:
        UserError: when there are too many combinations, or a side has no own meta-latents.
    """
    combinations = combinations or Combinations.of(case)
    check_size(combinations, most)
    if screened is None:
        # Short searches go without the probe, which times a few products.
        screened = len(combinations) > 4 * CHUNK and fast_dtype_of_products() == torch.bfloat16
    engine = Engine(case, combinations, torch.bfloat16 if screened else torch.float32)
    leaders = Leaders(_AHEAD if screened else 1)
    for chunk in scan(engine, progress=progress):
        leaders.see(chunk)
    return verified(case, combinations, leaders)


def verified(case: Case, combinations: Combinations, leaders: Leaders) -> tuple[Found, ...]:
    """The clearest edit of every pattern, its values from fp32."""
    exact = Engine(case, combinations)
    numbers = np.array(leaders.numbers(), dtype=np.int64)
    final = Leaders()
    scores = exact.logprobs(numbers)
    final.see(Chunk(numbers, scores, judge(case, scores)))
    margins = dict(zip(numbers.tolist(), judge(case, scores).margin.tolist(), strict=True))
    found = []
    for code, number in final.best().items():
        edit = combinations.edit(number)
        found.append(
            Found(
                edit=edit,
                pattern=named(case, code),
                margin=margins[number],
                sentence=case.score(edit).sentence,
                number=number,
                reached_by=leaders.counts.get(code, 0) / len(combinations),
            )
        )
    return tuple(sorted(found, key=lambda one: (sum(one.pattern.values()), -one.margin)))


def named(case: Case, code: int) -> dict[str, bool]:
    """A pattern's bits by attribute."""
    return {q.attribute: bool(code >> bit & 1) for bit, q in enumerate(case.questions)}
