"""Every choice of strengths for a pair's own meta-latents scored, and the patterns they reach.

Nothing is done twice: the lower layers and everything before the first edited token run once per
prompt (`steering.experiment.Experiment`), prompts and answers share what they begin with, only
positions an answer is read from are computed in the last block and unembedded, tokens that are
unlikely there only as a sum (`lm.next_tokens`), equal directions are scored once. What is left of
all prompts goes through the blocks together, in batches whose size is measured while working.

A *screened* search runs in bf16, samples the unlikely tokens, and runs whatever it reports again in
fp32.

Shapes: N combinations, P pieces, A answers of all questions.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from metasae.errors import UserError
from metasae.lm.matmul import fast_dtype_of_products
from metasae.progress import Progress, silent
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.loop import gather
from metasae.search.patterns import BestByPattern, Chunk, FoundEdit, fewest_moves
from metasae.steering.experiment import Experiment
from metasae.steering.verdict import pattern_name

MOST_EXACT = 2**16
"""Combinations up to which all of them are scored."""

CHUNK = 1024
"""Combinations that are scored, reported and written together."""

AHEAD = 16
"""Combinations of each pattern that a screened search runs again in fp32."""


def scan(
    engine: Engine,
    spans: Iterable[range] | None = None,
    done: int = 0,
    progress: Progress = silent,
) -> Iterator[Chunk]:
    """Yields combinations in the order of their numbers, scored, at most `CHUNK` at a time.

    Args:
        spans: which; all when left out. No chunk holds combinations of two spans.
        done: how many were scored before, for the progress.
    """
    count = len(engine.combinations)

    def report(scored: float) -> None:
        now = f"{scored:,.0f} of {count:,} combinations"
        progress("Searching edits", scored / count, now)

    report(done)
    for span in [range(count)] if spans is None else spans:
        for start in range(span.start, span.stop, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, span.stop))
            engine.told = _from(report, done, len(numbers))
            chunk = engine.scored_chunk(numbers)
            done += len(numbers)
            report(done)
            yield chunk


def _from(report: Callable[[float], None], done: int, more: int) -> Callable[[float], None]:
    """What reports how many are scored, while some ``more`` are."""
    return lambda share: report(done + share * more)


def check_size(combinations: Combinations, most: int = MOST_EXACT) -> None:
    """Refuse combinations that are too many to score them all.

    Raises:
        UserError: for more than ``most``.
    """
    if len(combinations) > most:
        raise UserError(
            f"There are {len(combinations):,} combinations and all are scored up to {most:,}; "
            "choose fewer latents or strengths, or let the search estimate which to score "
            "(--estimate; on the page a search of one pair does so by itself)."
        )


def bf16_is_fast() -> bool:
    """Whether this processor runs products much faster in bf16."""
    return fast_dtype_of_products() == torch.bfloat16


def worth_screening(
    count: int, wanted: bool | None = None, fast: Callable[[], bool] = bf16_is_fast
) -> bool:
    """Whether a search of so many combinations goes through them in bf16 first.

    Args:
        wanted: decides, unless None.
        fast: whether that is worth it; short searches do not ask, since measuring takes a moment.
    """
    return wanted if wanted is not None else count > 4 * CHUNK and fast()


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
        screened: go through all in bf16 first; by default where that is fast and worth it. A strict
            experiment's never are: in bf16 the likeliest of all tokens can be missed.

    Raises:
        UserError: when there are too many combinations, or a side has no own meta-latents.
    """
    combinations = combinations or Combinations.of(experiment)
    check_size(combinations, most)
    screened = not experiment.strict and worth_screening(len(combinations), screened)
    engine = Engine(experiment, combinations, torch.bfloat16 if screened else torch.float32)
    best = BestByPattern(AHEAD if screened else 1)
    gather(scan(engine, progress=progress), best)
    patterns, _ = verified(experiment, combinations, best)
    return patterns


def verified(
    experiment: Experiment, combinations: Combinations, best: BestByPattern
) -> tuple[tuple[FoundEdit, ...], Chunk]:
    """The clearest edit of every pattern, fewest moves first, from fp32.

    Returns:
        The edits, and all combinations that were run for them.
    """
    numbers = np.array(best.numbers(), dtype=np.int64)
    chunk = Engine(experiment, combinations).scored_chunk(numbers)
    final = BestByPattern()
    final.see(chunk)
    margins = dict(zip(numbers.tolist(), chunk.margin.tolist(), strict=True))
    edits = []
    for code, number in final.best().items():
        outcome = experiment.apply(combinations.edit(number))
        edits.append(
            FoundEdit(
                edit=combinations.edit(number),
                pattern=pattern_name(experiment.questions, code),
                margin=margins[number],
                sentence=outcome.sentence,
                number=number,
                reached_by=best.counts.get(code, 0) / len(combinations),
                own=dict(zip(experiment.questions.attributes, outcome.own_after, strict=True)),
            )
        )
    edits.sort(key=fewest_moves)
    return tuple(edits), chunk
