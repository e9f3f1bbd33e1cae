"""The figures of a preset's cities that its report states: sharing, countries, swaps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch

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


def sharing(
    decomposition: Decomposition, records: Sequence[CityRecord]
) -> dict[str, float | int | list[str]]:
    """How often cities of one country share a meta-latent, and how many countries have their own.

    A city stands for the meta-latents of its best latent.
    """
    located = [record for record in records if record.chosen]
    metas = {r.name: set(decomposition.pieces(r.chosen[0].latent)) for r in located}
    same: list[bool] = []
    other: list[bool] = []
    for a, b in combinations(located, 2):
        (same if a.country == b.country else other).append(bool(metas[a.name] & metas[b.name]))
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
        "same_country_share": sum(same) / max(1, len(same)),
        "two_countries_share": sum(other) / max(1, len(other)),
        "countries": len(countries),
        "countries_with_meta_latent": len(having),
        "countries_without": sorted(set(countries) - set(having)),
    }


def swaps(
    experiments: Iterable[Experiment], count: int, progress: Progress = silent
) -> dict[str, Any]:
    """What the latent swap moves, over some ordered pairs of cities.

    An attribute counts where the two cities' answers differ; it has moved when the target's answer
    is likelier than the source's after the swap (``moved``), or than every candidate's, a third
    city's among them (``first_of_all``). ``…_of_4`` is four times the share. The swap is made at
    all positions, as the post has it; ``at_name`` has the same for the name's last token alone.
    """
    differing = 0
    edits = {"all": LatentSwap(options=EditOptions(position="all")), "last": LatentSwap()}
    counts = {position: {"moved": 0, "first_of_all": 0} for position in edits}
    for number, experiment in enumerate(experiments):
        before = differing
        for position, counted in counts.items():
            verdicts = list(_swapped(experiment.apply(edits[position])))
            differing = before + len(verdicts)
            counted["moved"] += sum(moved for moved, _ in verdicts)
            counted["first_of_all"] += sum(first for _, first in verdicts)
        progress("Swapping cities", (number + 1) / count, "")

    def shares(position: str) -> dict[str, Any]:
        of_4 = {f"{k}_of_4": 4 * n / max(1, differing) for k, n in counts[position].items()}
        return counts[position] | of_4

    return {
        "pairs": count,
        "attributes_that_differ": differing,
        **shares("all"),
        "at_name": shares("last"),
    }


def _swapped(outcome: Outcome) -> Iterator[tuple[bool, bool]]:
    """Per attribute that differs: does the target's answer pass the source's, and every other?"""
    questions = outcome.questions
    rows = zip(
        questions.split(questions.belonging_to(outcome.source.label)),
        questions.split(questions.belonging_to(outcome.target.label)),
        questions.split(outcome.logprobs),
        strict=True,
    )
    for sources, targets, scores in rows:
        if (sources & targets).any():
            continue
        mine, theirs = (
            scores.masked_fill(~whose, -torch.inf).max() for whose in (sources, targets)
        )
        yield bool(theirs > mine), bool(targets[scores.argmax()])


def well_known(records: Sequence[CityRecord], count: int = 30) -> list[CityRecord]:
    """Cities all of whose facts the model knows and that have a latent, spread over the table."""
    known = [record for record in records if all(record.known.values()) and record.chosen]
    places = np.linspace(0, len(known) - 1, min(count, len(known))).round().astype(int)
    return [known[place] for place in places]


def ordered_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every source with every other target."""
    return list(permutations(names, 2))
