"""All ways to change the strengths of a pair's own meta-latents, and what each one reaches.

Nothing is done twice: the lower layers and everything before the first edited token run once per
prompt (`steering.experiment.Experiment`), prompts and answers share what they begin with, only positions an answer
is read from are computed in the last block and unembedded, equal directions are scored once. What
is left of all prompts goes through the blocks together, in batches whose size is measured while
working.

A *screened* search runs in bf16 and runs whatever it reports again in fp32.

Shapes: N combinations, P pieces, A answers of all questions.
"""

from collections.abc import Iterator

import numpy as np
import torch

from metasae.errors import UserError
from metasae.lm.matmul import fast_dtype_of_products
from metasae.progress import Progress, silent
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import pattern_name

MOST_EXACT = 2**16
"""Combinations up to which all of them are scored."""

CHUNK = 1024
"""Combinations that are scored, reported and written together."""

_AHEAD = 16
"""Combinations of each pattern that a screened search runs again in fp32."""


def scan(engine: Engine, begin: int = 0, progress: Progress = silent) -> Iterator[Chunk]:
    """Score all combinations from one on, a chunk at a time."""
    count = len(engine.combinations)
    for start in range(begin, count, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, count))
        yield engine.scored_chunk(numbers)
        done = int(numbers[-1]) + 1
        progress("Searching edits", done / count, f"{done:,} of {count:,} combinations")


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
    experiment: Experiment,
    combinations: Combinations | None = None,
    screened: bool | None = None,
    most: int = MOST_EXACT,
    progress: Progress = silent,
) -> tuple[FoundEdit, ...]:
    """For every reachable pattern the edit with the largest smallest margin, fewest moves first.

    An attribute whose answer source and target share cannot move.

    Args:
        screened: go through all in bf16 first; by default where that is fast and worth it.

    Raises:
        UserError: when there are too many combinations, or a side has no own meta-latents.
    """
    combinations = combinations or Combinations.of(experiment)
    check_size(combinations, most)
    if screened is None:
        # Short searches go without the probe, which times a few products.
        screened = len(combinations) > 4 * CHUNK and fast_dtype_of_products() == torch.bfloat16
    engine = Engine(experiment, combinations, torch.bfloat16 if screened else torch.float32)
    leaders = BestByPattern(_AHEAD if screened else 1)
    for chunk in scan(engine, progress=progress):
        leaders.see(chunk)
    return verified(experiment, combinations, leaders)


def verified(
    experiment: Experiment, combinations: Combinations, leaders: BestByPattern
) -> tuple[FoundEdit, ...]:
    """The clearest edit of every pattern, its values from fp32."""
    exact = Engine(experiment, combinations)
    numbers = np.array(leaders.numbers(), dtype=np.int64)
    final = BestByPattern()
    chunk = exact.scored_chunk(numbers)
    final.see(chunk)
    margins = dict(zip(numbers.tolist(), chunk.margin.tolist(), strict=True))
    found = []
    for code, number in final.best().items():
        edit = combinations.edit(number)
        found.append(
            FoundEdit(
                edit=edit,
                pattern=pattern_name(experiment.questions, code),
                margin=margins[number],
                sentence=experiment.apply(edit).sentence,
                number=number,
                reached_by=leaders.counts.get(code, 0) / len(combinations),
            )
        )
    return tuple(sorted(found, key=lambda one: (sum(one.pattern.values()), -one.margin)))
