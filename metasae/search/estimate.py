"""The best edits among more combinations than can be scored: all are estimated, few are run.

In rounds, the combination that may turn out best for each pattern (see `estimator.Estimator`) is
scored exactly, until none promises more or the budget is spent. Estimates only choose what to
score: every value that is reported comes from the blocks, in fp32.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from metasae.errors import UserError
from metasae.progress import Progress, silent
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.estimator import LISTED, Estimator
from metasae.search.exhaustive import verified
from metasae.search.loop import gather
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit
from metasae.steering.experiment import Experiment

NUMBERED = 2**62
"""Most combinations: each has a 64-bit number."""

SHARE = 20
"""One combination in this many is scored, within `BUDGETS`."""

BUDGETS = (64, 1024)
"""Fewest and most combinations scored when nothing else is asked for."""

ROUND = 16
"""Combinations scored in one round."""

DOUBT = (2.0, 4.0)
"""Standard deviations by which an estimate may be off: the second once the first promises nothing
more."""


def usual_budget(count: int) -> int:
    """How many of ``count`` combinations are scored at most when no budget is given."""
    return min(max(count // SHARE, BUDGETS[0]), BUDGETS[1], count)


def rounds(
    engine: Engine,
    budget: int | None = None,
    listed: int = LISTED,
    progress: Progress = silent,
) -> Iterator[Chunk]:
    """Yields the combinations that promise most, scored, a round at a time.

    Args:
        budget: most combinations to score; by default one in `SHARE`, within `BUDGETS`.
        listed: combinations up to which all are estimated.

    Raises:
        UserError: when there are too many combinations to be numbered.
    """
    count = math.prod(map(len, engine.combinations.levels))
    if count > NUMBERED:
        raise UserError(
            f"There are {count:.1e} combinations, more than can be told apart; choose fewer "
            "latents or strengths."
        )
    if budget is None:
        budget = usual_budget(count)
    estimator, stage = Estimator(engine, listed), "Searching edits by estimate"
    numbers, used, doubts = estimator.first()[:budget], 0, list(DOUBT)
    while len(numbers):
        yield estimator.score(numbers)
        used += len(numbers)
        progress(stage, used / budget, f"{used:,} of {count:,} combinations scored")
        estimator.learn()
        most = min(ROUND, budget - used)
        numbers = estimator.next(doubts[0], most)
        while not len(numbers) and most and len(doubts) > 1:
            doubts.pop(0)
            numbers = estimator.next(doubts[0], most)
    progress(stage, 1.0, f"{used:,} of {count:,} combinations scored")


def estimated(
    experiment: Experiment,
    combinations: Combinations | None = None,
    budget: int | None = None,
    progress: Progress = silent,
) -> tuple[tuple[FoundEdit, ...], int]:
    """The clearest edit of every pattern, as `exhaustive.search`, without scoring all combinations.

    Args:
        budget: most combinations to score; by default one in `SHARE`, within `BUDGETS`.

    Returns:
        The clearest edits, every value scored in fp32 (the share of combinations that reach
        a pattern is unknown: NaN), and how many combinations were scored.

    Raises:
        UserError: when there are too many combinations to be numbered, or a side has no own
            meta-latents.
    """
    combinations = combinations or Combinations.of(experiment)
    best = BestByPattern()
    gather(rounds(Engine(experiment, combinations), budget, progress=progress), best)
    return reported(experiment, combinations, best), best.seen


def reported(
    experiment: Experiment, combinations: Combinations, best: BestByPattern
) -> tuple[FoundEdit, ...]:
    """The clearest edit of every pattern, from fp32; ``reached_by`` is NaN, as nobody counted."""
    edits, _ = verified(experiment, combinations, best)
    return tuple(replace(one, reached_by=math.nan) for one in edits)
