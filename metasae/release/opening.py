"""The pair of cities the workbench opens on: all is known of both, and much can be moved alone."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from metasae.errors import UserError
from metasae.lab.city_records import CityRecord
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.steering.certainty import CLEAR
from metasae.text.cities import ATTRIBUTES

_log = logging.getLogger(__name__)

FAMILIAR: tuple[str, ...] = (
    "Tokyo", "Paris", "Cairo", "London", "Moscow", "Rome", "Berlin", "Beijing", "Athens", "Madrid",
    "New York", "Chicago", "Toronto", "Mexico City", "Rio de Janeiro", "Buenos Aires", "Sydney",
    "Mumbai", "Seoul", "Bangkok", "Istanbul", "Nairobi", "Vienna", "Stockholm",
)  # fmt: skip
"""Cities that nobody has to look up."""

ENOUGH = 5
"""Patterns, no change included, that a pair to open on should reach clearly."""

MOST_PAIRS = 160
"""Pairs that are searched at most."""

MOST_COMBINATIONS = 2**10
"""Combinations of a pair at most: more meta-latents than that are no first screen."""


@dataclass(frozen=True)
class OpeningPair:
    """A pair and what its meta-latents can move.

    Attributes:
        combinations: of its own meta-latents, all tried.
        clear: the patterns reached by more than `CLEAR` nats, no change included; fewest moves
            first.
    """

    source: str
    target: str
    combinations: int
    clear: tuple[FoundEdit, ...]

    @property
    def rank(self) -> tuple[int, float]:
        """What the best pair has most of: clear patterns, then their mean margin in nats."""
        margins = [one.margin for one in self.clear]
        return len(margins), sum(margins) / max(1, len(margins))

    def to_dict(self) -> dict[str, Any]:
        """As the report has it."""
        patterns = [
            {key: one.to_dict()[key] for key in ("pattern", "edit", "margin", "sentence")}
            for one in self.clear
        ]
        return {
            "source": self.source,
            "target": self.target,
            "combinations": self.combinations,
            "clear_nats": CLEAR,
            "patterns": patterns,
        }


def candidates(
    records: Iterable[CityRecord], most: int = MOST_PAIRS, familiar: Sequence[str] = FAMILIAR
) -> list[tuple[str, str]]:
    """Ordered pairs of names with latents of their own that differ in all four facts, all known.

    Of more than ``most`` some, spread over all; of a model that knows no such pair of familiar
    cities, pairs of any.
    """
    known = [one for one in records if one.has_own_latent and all(one.known.values())]

    def among(cities: Sequence[CityRecord]) -> list[tuple[str, str]]:
        return [
            (one.name, other.name)
            for one, other in permutations(cities, 2)
            if all(getattr(one, name) != getattr(other, name) for name in ATTRIBUTES)
        ]

    pairs = among([one for one in known if one.name in familiar]) or among(known)
    places = np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]


def ranked(
    lab: Lab, pairs: Sequence[tuple[str, str]], progress: Progress = silent
) -> list[OpeningPair]:
    """The pairs by what their meta-latents can move, the best first.

    All combinations of each are tried as on the Steer page: the default wording and options.
    """
    found = []
    for number, (source, target) in enumerate(pairs, 1):
        try:
            experiment = lab.experiment(lab.subject(source), lab.subject(target))
            combinations = Combinations.of(experiment)
            if len(combinations) <= MOST_COMBINATIONS:
                reached = search(experiment, combinations)
                clear = tuple(one for one in reached if one.margin > CLEAR)
                found.append(OpeningPair(source, target, len(combinations), clear))
        except UserError:
            _log.info("%s to %s is no pair to open on", source, target, exc_info=True)
        progress("Looking for a pair to open on", number / len(pairs), f"{source} to {target}")
    return sorted(found, key=lambda pair: pair.rank, reverse=True)


def opening(lab: Lab, progress: Progress = silent) -> dict[str, Any] | None:
    """The pair to open on with its patterns, as the report has it; None without any.

    It says itself when it reaches fewer than `ENOUGH`: it is the best of those that were tried.
    """
    pairs = candidates(lab.records.values())
    best = ranked(lab, pairs, progress)
    if not best:
        return None
    enough = len(best[0].clear) >= ENOUGH
    return best[0].to_dict() | {"enough": enough, "pairs_tried": len(best)}
