"""Cause, Isolate and Disentangle, with intervals over the names that are edited.

**Cause** of an edit for attribute A: of the prompts on A of pairs whose answers differ, the share
whose answer is now the target's. **Isolate**: of the prompts on every other attribute, the share
whose answer is still the source's. **Disentangle** is their mean. Over all attributes each is the
mean of the attributes' own.

An answer is read by two rules: ``greedy``, each of its tokens the likeliest of the whole
vocabulary; ``choice``, the likeliest among the attribute's answers. Doing nothing scores exactly 0,
1 and 0.50, since only what the unedited model answers rightly by both rules is asked.

Shapes: R resamples, S source names, A attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metasae.studies.study import RESAMPLED

RULES = ("greedy", "choice")

ALL = "all"
"""The mean over the attributes; in triples, an edit that is the same for every attribute."""

NOTHING = "nothing"


@dataclass(frozen=True)
class Counted:
    """Hits and prompts of one method by attribute and source: what resampling draws from.

    Attributes:
        hits, prompts: (2, S, A), the first for cause, the second for isolate.
    """

    hits: np.ndarray
    prompts: np.ndarray

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Cause and isolate by attribute, (2, R, A); NaN where no prompt was drawn.

        Args:
            weights: how often each source is drawn, (R, S).
        """
        hits, prompts = weights @ self.hits, weights @ self.prompts
        with np.errstate(invalid="ignore"):
            made: np.ndarray = hits / np.where(prompts > 0, prompts, np.nan)
        return made


def counted(
    triples: pd.DataFrame, rule: str, sources: Sequence[str], attributes: Sequence[str]
) -> Counted:
    """Hits and prompts of one method's triples; see `table` for the columns."""
    hits = np.zeros((2, len(sources), len(attributes)))
    prompts = np.zeros_like(hits)
    row = triples["source"].map({name: n for n, name in enumerate(sources)}).to_numpy()
    for number, attribute in enumerate(attributes):
        edits = triples["edited"].isin([attribute, ALL]).to_numpy()
        about = (triples["asked"] == attribute).to_numpy()
        counts = (
            (edits & about & triples["differs"].to_numpy(), "target"),
            (edits & ~about, "source"),
        )
        for side, (which, wanted) in enumerate(counts):
            hit = which & (triples[rule] == wanted).to_numpy()
            np.add.at(hits[side, :, number], row[hit], 1)
            np.add.at(prompts[side, :, number], row[which], 1)
    return Counted(hits, prompts)


def table(
    triples: pd.DataFrame, attributes: Sequence[str], learned: str = "", seed: int = 0
) -> pd.DataFrame:
    """Scores of every method on every attribute and on all, by both rules.

    Args:
        triples: columns seed, method, edited (the attribute an edit is for, or `ALL`), source,
            target, asked, template, differs, and for each rule whose answer came: "target",
            "source" or "other".
        learned: the method to which the others are compared: how much more it scores.
        seed: of the resampling.

    Returns:
        Columns rule, method, attribute, cause, isolate, disentangle, low, high (of the middle 95 %
        of disentangle over source names drawn again), cause_low, cause_high, isolate_low,
        isolate_high, seeds (disentangle seed by seed), prompts_cause, prompts_isolate, sources;
        with ``learned`` more, more_low, more_high.
    """
    sources = sorted(triples["source"].unique())
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(len(sources), np.full(len(sources), 1 / len(sources)), RESAMPLED)
    once = np.ones((1, len(sources)))
    methods = list(dict.fromkeys(triples["method"]))
    rows: list[dict[str, Any]] = []
    for rule in RULES:
        counts = {
            name: counted(part, rule, sources, attributes)
            for name, part in triples.groupby("method", sort=False)
        }
        drawn = {name: _with_all(one.shares(weights)) for name, one in counts.items()}
        exact = {name: _with_all(one.shares(once)) for name, one in counts.items()}
        by_seed = _by_seed(triples, rule, sources, attributes)
        for name in methods:
            for number, attribute in enumerate((*attributes, ALL)):
                cause, isolate = exact[name][:, 0, number]
                both = drawn[name][:, :, number]
                low, high = _interval(both.mean(0))
                row = {
                    "rule": rule, "method": name, "attribute": attribute,
                    "cause": cause, "isolate": isolate, "disentangle": (cause + isolate) / 2,
                    "low": low, "high": high,
                    **dict(zip(("cause_low", "cause_high"), _interval(both[0]), strict=True)),
                    **dict(zip(("isolate_low", "isolate_high"), _interval(both[1]), strict=True)),
                    "seeds": [float(one[name][:, 0, number].mean()) for one in by_seed],
                    "prompts_cause": _sum(counts[name].prompts[0], number),
                    "prompts_isolate": _sum(counts[name].prompts[1], number),
                    "sources": len(sources),
                }  # fmt: skip
                if learned in counts:
                    more = (drawn[learned] - drawn[name])[:, :, number].mean(0)
                    less, most = _interval(more)
                    exactly = (exact[learned] - exact[name])[:, 0, number].mean()
                    row |= {"more": float(exactly), "more_low": less, "more_high": most}
                rows.append(row)
    return pd.DataFrame(rows)


def _by_seed(
    triples: pd.DataFrame, rule: str, sources: Sequence[str], attributes: Sequence[str]
) -> list[dict[str, np.ndarray]]:
    once = np.ones((1, len(sources)))
    return [
        {
            str(name): _with_all(counted(part, rule, sources, attributes).shares(once))
            for name, part in some.groupby("method", sort=False)
        }
        for _, some in triples.groupby("seed")
    ]


def _with_all(shares: np.ndarray) -> np.ndarray:
    """Cause and isolate by attribute (2, R, A), and their mean over attributes as one more."""
    there = ~np.isnan(shares)
    total = np.where(there, shares, 0.0).sum(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean = total / there.sum(axis=2, keepdims=True)
    made: np.ndarray = np.concatenate([shares, mean], axis=2)
    return made


def _interval(values: np.ndarray) -> tuple[float, float]:
    there = values[~np.isnan(values)]
    if not len(there):
        return float("nan"), float("nan")
    low, high = np.quantile(there, [0.025, 0.975])
    return float(low), float(high)


def _sum(prompts: np.ndarray, number: int) -> int:
    """Prompts of one attribute, or of all where the number is behind the last."""
    return int(prompts.sum() if number == prompts.shape[1] else prompts[:, number].sum())
