"""How often the estimating search finds what scoring every combination finds, and at what cost.

Ordered pairs of well-known cities, drawn by a seed among those whose own meta-latents have some
thousands of combinations (present or absent; where that gives too few, at half strength as well):
one in twenty of some hundreds is less than the search ever takes by itself (`estimate.BUDGETS`).
``--small`` draws such pairs all the same. On each pair both searches run, in fp32. A pattern is
recalled when the estimating search, which may score one combination in twenty, scored one as clear
as the clearest there is. That nothing moves is no pattern here: finding it takes no search.

    python -m benchmarks.estimate [--quick] [--small] [--json]
"""

import random
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from benchmarks.figures import parser, print_figures, written
from metasae.errors import UserError
from metasae.lab.lab import Lab, open_lab
from metasae.progress import to_stream
from metasae.release.figures import ordered_pairs
from metasae.release.generalisation import drawn_known
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.estimate import SHARE, rounds
from metasae.search.estimator import LISTED
from metasae.search.exhaustive import scan
from metasae.search.patterns import Chunk
from metasae.steering.edits import EditOptions
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import OTHER, pattern_name

GRIDS: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((0.0,), (1.0,)),
    ((0.0, 0.5), (1.0,)),
    ((0.0, 0.5), (0.5, 1.0)),
)
"""Strengths of the source's own and of the target's own beside their defaults: the first that gives
a pair enough combinations."""

EQUAL = 1e-4
"""Nats: margins that differ by less are the same in fp32."""

CLEAR = 0.1
"""Nats: patterns reached by at least this much are counted by themselves, too."""


def drawn(
    lab: Lab, fewest: int, most: int, seed: int = 0
) -> Iterator[tuple[Experiment, Combinations]]:
    """Pairs with so many combinations, in an order that depends on the seed alone."""
    known = [record for record in lab.records.values() if all(record.known.values())]
    pairs = ordered_pairs([record.name for record in drawn_known(known)])
    random.Random(seed).shuffle(pairs)
    for source, target in pairs:
        experiment = lab.experiment(lab.subject(source), lab.subject(target))
        for removed, added in GRIDS:
            try:
                combinations = Combinations.of(experiment, EditOptions(), removed, added)
            except UserError:  # a side without own meta-latents
                break
            if fewest <= len(combinations) <= most:
                yield experiment, combinations
                break


def clearest(chunks: Iterable[Chunk]) -> tuple[dict[int, float], int, float]:
    """Largest margin of every pattern in which something moved; combinations scored; seconds."""
    began, best, count = time.perf_counter(), dict[int, float](), 0
    for chunk in chunks:
        count += len(chunk.numbers)
        judged = zip(chunk.pattern.tolist(), chunk.margin.tolist(), strict=True)
        for code, margin in judged:
            if code not in (OTHER, 0):
                best[code] = max(margin, best.get(code, 0.0))
    return best, count, time.perf_counter() - began


def compare(experiment: Experiment, combinations: Combinations, listed: int) -> dict[str, Any]:
    """Both searches on one pair."""
    best, count, seconds = clearest(scan(Engine(experiment, combinations)))
    budget = count // SHARE
    estimated, used, took = clearest(rounds(Engine(experiment, combinations), budget, listed))
    lost = {code: margin - estimated.get(code, 0.0) for code, margin in best.items()}
    return {
        "source": experiment.source.label,
        "target": experiment.target.label,
        "combinations": count,
        "evaluations": used,
        "seconds_all": seconds,
        "seconds_estimating": took,
        "patterns": [
            {
                "moved": [
                    name
                    for name, moved in pattern_name(experiment.questions, code).items()
                    if moved
                ],
                "margin": best[code],
                "lost": max(0.0, lost[code]),
                "recalled": lost[code] <= EQUAL,
            }
            for code in sorted(best)
        ],
    }


def measure(count: int, fewest: int, most: int, listed: int) -> dict[str, Any]:
    """The figures over some pairs."""
    progress = to_stream()
    lab = open_lab(progress=progress)
    pairs = []
    for experiment, combinations in islice(drawn(lab, fewest, most), count):
        pairs.append(compare(experiment, combinations, listed))
        progress("Comparing the searches", len(pairs) / count, f"{len(pairs)} of {count} pairs")
    patterns = [pattern for pair in pairs for pattern in pair["patterns"]]
    clear = [pattern for pattern in patterns if pattern["margin"] >= CLEAR]
    missed = [pattern["lost"] for pattern in patterns if not pattern["recalled"]]
    combinations_all = sum(pair["combinations"] for pair in pairs)
    evaluations = sum(pair["evaluations"] for pair in pairs)
    return {
        "pairs": len(pairs),
        "recall_pairs": _share([all(p["recalled"] for p in pair["patterns"]) for pair in pairs]),
        "patterns": len(patterns),
        "recall_patterns": _share([pattern["recalled"] for pattern in patterns]),
        "patterns_clear": len(clear),
        "recall_patterns_clear": _share([pattern["recalled"] for pattern in clear]),
        "largest_margin_lost": max(missed, default=0.0),
        "combinations": combinations_all,
        "evaluations": evaluations,
        "evaluations_share": evaluations / combinations_all,
        "largest_evaluations_share": max(p["evaluations"] / p["combinations"] for p in pairs),
        "time_ratio": sum(pair["seconds_all"] for pair in pairs)
        / sum(pair["seconds_estimating"] for pair in pairs),
        "listed": listed > 0,
        "by_pair": pairs,
    }


def _share(values: list[bool]) -> float:
    return sum(values) / max(1, len(values))


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument("--small", action="store_true", help="pairs of some hundreds instead")
    words.add_argument(
        "--unlisted", action="store_true", help="as if there were too many combinations to list"
    )
    arguments = words.parse_args()
    count, fewest, most = 20, 1500, 2600
    if arguments.quick or arguments.small:
        count, fewest, most = 4 if arguments.quick else 20, 500, 1100
    figures = measure(count, fewest, most, 0 if arguments.unlisted else LISTED)
    print_figures(figures, arguments.json, _lines(figures))


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    """The figures over all pairs, and the patterns that were missed."""
    for name, value in figures.items():
        if name != "by_pair":
            yield f"{name:>26}  {written(value)}"
    for pair in figures["by_pair"]:
        for pattern in pair["patterns"]:
            if not pattern["recalled"]:
                moved = " and ".join(pattern["moved"])
                yield (
                    f"{pair['source']} → {pair['target']}: {moved} by {pattern['margin']:.3f} nats,"
                    f" {pattern['lost']:.3f} lost"
                )


if __name__ == "__main__":
    main()
