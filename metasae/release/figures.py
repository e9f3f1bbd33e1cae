"""The figures of a preset's cities that its report states: sharing, countries, swaps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import binomtest
from torch import Tensor

from metasae.lab.city_records import CityRecord
from metasae.progress import Progress, silent
from metasae.saes.decomposition import Decomposition
from metasae.steering.edits import EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome

COUNTRY_SHARE = 0.6

OTHERS_SHARE = 0.05
"""A meta-latent is a country's when it is active on at least the first share of its cities' latents
and on at most the second share of all other cities'."""


def sharing(decomposition: Decomposition, records: Sequence[CityRecord]) -> dict[str, Any]:
    """How often cities of one country share a meta-latent, and how many countries have their own.

    A city stands for the meta-latents of its best latent. A range is the middle 95 % of what the
    same cities give when as many are drawn from them with replacement (`RESAMPLED` times).
    """
    located = [record for record in records if record.chosen]
    metas = {r.name: set(decomposition.pieces(r.chosen[0].latent)) for r in located}
    member = torch.zeros(len(located), decomposition.n_meta)
    for row, record in enumerate(located):
        member[row, list(metas[record.name])] = 1.0
    shared = (member @ member.T > 0).double()
    country = np.array([record.country for record in located])
    same = torch.from_numpy(country[:, None] == country[None]).double()
    apart = 1 - torch.eye(len(located), dtype=torch.float64)
    same_share, same_range = _share_of_pairs(shared, same * apart)
    other_share, other_range = _share_of_pairs(shared, 1 - same)
    by_country: dict[str, list[set[int]]] = defaultdict(list)
    for record in located:
        by_country[record.country].append(metas[record.name])
    countries = {name: sets for name, sets in by_country.items() if len(sets) >= 3}
    having = []
    for name, inside in countries.items():
        outside = [metas[r.name] for r in located if r.country != name]
        for meta in set().union(*inside):
            mine = sum(meta in one for one in inside) / len(inside)
            theirs = sum(meta in one for one in outside) / max(1, len(outside))
            if mine >= COUNTRY_SHARE and theirs <= OTHERS_SHARE:
                having.append(name)
                break
    return {
        "names": len(located),
        "same_country_share": same_share,
        "same_country_range": same_range,
        "two_countries_share": other_share,
        "two_countries_range": other_range,
        "countries": len(countries),
        "countries_with_meta_latent": len(having),
        "countries_without": sorted(set(countries) - set(having)),
    }


RESAMPLED = 1000
"""Times cities are drawn again for a range."""


def _share_of_pairs(
    shared: Float[Tensor, "C C"], counted: Float[Tensor, "C C"]
) -> tuple[float, list[float]]:
    """The share of the counted pairs of cities that share something, and its bootstrap range."""
    total = float(counted.sum())
    if not total:
        return 0.0, [0.0, 0.0]
    count = len(shared)
    draws = np.random.default_rng(0).multinomial(count, [1 / count] * count, RESAMPLED)
    weight = torch.from_numpy(draws).double()
    among = ((weight @ counted) * weight).sum(1)
    sharing_ones = ((weight @ (counted * shared)) * weight).sum(1)
    shares = (sharing_ones / among)[among > 0]
    low, high = shares.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float((counted * shared).sum()) / total, [low, high]


@dataclass(frozen=True)
class Swapped:
    """A source and a target with what the model knows of them, and the experiment to swap in."""

    source: CityRecord
    target: CityRecord
    experiment: Experiment


def swaps(pairs: Iterable[Swapped], count: int, progress: Progress = silent) -> dict[str, Any]:
    """What the latent swap moves, over some ordered pairs of cities.

    An attribute counts where the model knows the fact of both cities and the two differ. It has
    moved when the target's answer is likelier than the source's after the swap (``moved``), or than
    every candidate's, a third city's among them (``first_of_all``); ``most_likely`` is where the
    model's own likeliest next token begins the target's answer. The swap is made at all positions,
    as the post has it; ``at_name`` has the same for the name's last token alone.
    """
    compared = 0
    edits = {"all": LatentSwap(options=EditOptions(position="all")), "last": LatentSwap()}
    ways = ("moved", "first_of_all", "most_likely")
    counts = {position: dict.fromkeys(ways, 0) for position in edits}
    for number, pair in enumerate(pairs):
        before = compared
        for position, counted in counts.items():
            verdicts = list(_verdicts(pair, pair.experiment.apply(edits[position])))
            compared = before + len(verdicts)
            for way, happened in zip(ways, zip(*verdicts, strict=True), strict=False):
                counted[way] += sum(happened)
        progress("Swapping cities", (number + 1) / count, "")

    def shares(position: str) -> dict[str, Any]:
        return {way: share_of(n, compared) for way, n in counts[position].items()}

    return {"pairs": count, "attributes": compared, **shares("all"), "at_name": shares("last")}


def _verdicts(pair: Swapped, outcome: Outcome) -> Iterator[tuple[bool, bool, bool]]:
    """Per attribute that counts: is the target's answer above the source's, above all, the next?"""
    questions = outcome.questions
    rows = zip(
        questions,
        questions.split(questions.belonging_to(outcome.source.label)),
        questions.split(questions.belonging_to(outcome.target.label)),
        questions.split(outcome.logprobs),
        outcome.top_after,
        strict=True,
    )
    for question, sources, targets, scores, top in rows:
        known = pair.source.known[question.attribute] and pair.target.known[question.attribute]
        if not known or (sources & targets).any():
            continue
        mine, theirs = (
            scores.masked_fill(~whose, -torch.inf).max() for whose in (sources, targets)
        )
        answers = [
            f" {answer.text}"
            for answer, its in zip(question.answers, targets.tolist(), strict=True)
            if its
        ]
        likeliest = top[0][0]
        yield (
            bool(theirs > mine),
            bool(targets[scores.argmax()]),
            bool(likeliest.strip()) and any(one.startswith(likeliest) for one in answers),
        )


def share_of(count: int, total: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson's, of independent draws).

    Returns:
        ``count``, ``of``, ``share``, and ``low`` and ``high``; shares are None of nothing.
    """
    if not total:
        return {"count": count, "of": total, "share": None, "low": None, "high": None}
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return {
        "count": count,
        "of": total,
        "share": count / total,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def ordered_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every source with every other target."""
    return list(permutations(names, 2))
