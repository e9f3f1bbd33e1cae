"""What combinations reach: which attributes moved, how clearly, and the best of every pattern.

Shapes: N combinations, A answers of all questions.
"""

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Annotated, Any, Protocol

import numpy as np
from jaxtyping import Float
from torch import Tensor

from metasae.sources.records import as_json, from_values, to_values
from metasae.steering.edits import MetaLatentEdit
from metasae.steering.own_words import OwnWord
from metasae.steering.verdict import OTHER, Verdict


@dataclass(frozen=True)
class Chunk:
    """Some scored combinations.

    Attributes:
        numbers: which.
        scores: log-probability of every answer, in nats; of bf16 precision in a screened search.
        pattern, margin: as in `steering.verdict.Verdict`.
    """

    numbers: np.ndarray
    scores: Float[Tensor, "N A"]
    pattern: np.ndarray
    margin: np.ndarray

    @staticmethod
    def judged(numbers: np.ndarray, scores: Float[Tensor, "N A"], verdict: Verdict) -> "Chunk":
        """Combinations with what the verdict on their scores says."""
        return Chunk(numbers, scores, verdict.pattern, verdict.margin)


def _finite(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if isfinite(value) else None


Margin = Annotated[float, *as_json(_finite, lambda value: inf if value is None else value)]
"""The smallest lead over an edit's questions, in nats; infinite, in JSON None, without rivals."""

Share = Annotated[float, *as_json(_finite, lambda value: nan if value is None else value)]
"""A share of all combinations; NaN, in JSON None, where nobody counted."""

SearchedEdit = Annotated[MetaLatentEdit, *as_json(MetaLatentEdit.to_dict, MetaLatentEdit.from_dict)]
"""An edit that a search made, as `Edit.to_dict` writes it."""


AMONG = "Among the candidates: "
"""What a sentence begins with that says nothing of what the model itself would say, as those of
searches did that are older than that."""


@dataclass(frozen=True)
class FoundEdit:
    """The best edit for one pattern of moved attributes, verified in fp32.

    Attributes:
        edit: the edit.
        pattern: attribute → whether its likeliest candidate answer is now the target's; of a strict
            search, and the model itself would say it (see `steering.verdict`).
        margin: the smallest lead, over the attributes, of the intended answer (the target's where
            it moved, the unedited pick where it stayed) over the next candidate, in nats.
        sentence: what the edit did, in words; one that knows nothing of the model's own words says
            that it is about the candidates.
        number: of the combination.
        reached_by: share of all combinations that reach the pattern.
        own: attribute → what the model itself goes on with under the edit; None in what was written
            before it was looked at.
    """

    edit: SearchedEdit
    pattern: dict[str, bool]
    margin: Margin
    sentence: str
    number: int = 0
    reached_by: Share = 0.0
    own: dict[str, OwnWord] | None = None

    def __post_init__(self) -> None:
        if self.own is None and self.sentence and not self.sentence.startswith(AMONG):
            object.__setattr__(self, "sentence", AMONG + self.sentence)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; a margin nothing rivals is None, so is a share nobody counted."""
        return to_values(self)

    @staticmethod
    def from_dict(values: Any) -> "FoundEdit":
        """What `to_dict` wrote; raises ValueError or UserError for anything else."""
        return from_values(FoundEdit, values)


class _Reached(Protocol):
    """The best edit for a pattern."""

    @property
    def pattern(self) -> dict[str, bool]: ...

    @property
    def margin(self) -> float: ...


def fewest_moves(one: _Reached) -> tuple[int, float]:
    """What patterns are sorted by: fewest moves first, of equally many the clearest."""
    return sum(one.pattern.values()), -one.margin


class BestByPattern:
    """The clearest combinations of every pattern seen so far."""

    def __init__(self, keep: int = 1) -> None:
        self.keep = keep
        self.counts: dict[int, int] = {}
        self._best: dict[int, list[tuple[float, int]]] = {}

    def see(self, chunk: Chunk) -> None:
        """Take some scored combinations into account."""
        pattern, margin = chunk.pattern, chunk.margin
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

    @property
    def seen(self) -> int:
        """Combinations that were taken into account."""
        return sum(self.counts.values())

    def numbers(self) -> list[int]:
        """All combinations that are kept."""
        return sorted({number for best in self._best.values() for _, number in best})

    def best(self) -> dict[int, int]:
        """Pattern → its clearest combination."""
        return {code: best[0][1] for code, best in self._best.items()}
