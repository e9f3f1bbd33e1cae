"""The search over edits beside one full TransformerLens pass per combination and prompt.

Both see the same machine in the same run: the peer's passes are timed between the engine's. The
engine is timed over all combinations of Tokyo's and Paris's own meta-latents (repeated over a grid
of strengths until there are enough to measure); its speed is also set against a plain matrix
product of the shapes it is made of, by the library that is fastest here.

    python -m benchmarks.search [--quick] [--json]
"""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear

from benchmarks.figures import parser, print_figures
from benchmarks.peer import pass_per_prompt, seconds
from metasae.lab.lab import Lab, open_lab
from metasae.lm import matmul
from metasae.lm.matmul import Product
from metasae.progress import to_stream
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.exhaustive import scan, verified
from metasae.search.patterns import BestByPattern
from metasae.steering.edits import EditOptions
from metasae.steering.experiment import Experiment
from tests import oracle

GRID = (0.0, 0.5, 1.5, 2.0)
"""Strengths beside the default, so that a pair of few pieces has thousands of combinations."""


ROWS = 1024
"""Rows of the plain products."""

GROWTH = (1_024, 8_192, 65_536)
"""Combinations of the searches that show how time and memory grow."""


def shapes(engine: Engine) -> list[tuple[int, int, int]]:
    """The matrix products one combination needs, as (rows, in, out), summed over the blocks."""
    config = engine.experiment.model.hf.config
    width, inner = config.hidden_size, config.intermediate_size
    shared = config.num_key_value_heads * (width // config.num_attention_heads)
    count = engine.experiment.model.n_layers - engine.experiment.model.hook_layer
    tail, read = engine.prepared.prompts.prefilled.resid.shape[1], len(engine.prepared.prompts.only)
    rest = tail * (count - 1) + read
    return [
        (tail * count, width, width + 2 * shared),
        (rest, width, width),
        (rest, width, 2 * inner),
        (rest, inner, width),
        (read, width, config.vocab_size),
    ]


def product_speed(needed: list[tuple[int, int, int]], dtype: torch.dtype) -> tuple[float, float]:
    """Multiply-adds ×2 a second of those products, each with as many rows as it likes.

    Returns:
        By whichever library is fastest here, which is what the engine uses, and by PyTorch's usual
        one.
    """
    fastest, usual = 0.0, 0.0
    for rows, width, out in needed:
        x, weight = torch.randn(ROWS, width).to(dtype), torch.randn(out, width).to(dtype)
        product = Product(weight)
        with torch.inference_mode():
            fastest += rows / ROWS * matmul.seconds(lambda: product(x), 8)  # noqa: B023
            usual += rows / ROWS * matmul.seconds(lambda: linear(x, weight), 8)  # noqa: B023
    work = sum(2 * rows * width * out for rows, width, out in needed)
    return work / fastest, work / usual


def run(engine: Engine, leaders: BestByPattern, count: int, each: Callable[[], None]) -> float:
    """Combinations a second over the first ``count``; ``each`` runs between chunks, not timed."""
    took, done = 0.0, 0
    chunks = scan(engine)
    while done < count:
        began = time.perf_counter()
        chunk = next(chunks)
        leaders.see(chunk)
        took += time.perf_counter() - began
        done += len(chunk.numbers)
        each()
    return done / took


def many(lab: Lab) -> tuple[Experiment, Combinations]:
    """Tokyo→Paris over a grid of strengths: some hundred thousand combinations."""
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    return experiment, Combinations.of(experiment, EditOptions(), GRID, (0.5, 1.0, 1.5, 2.0))


def _alone(count: int, pipe: Any) -> None:
    """In a process of its own: a screened search; sends its seconds and what memory it took."""
    experiment, combinations = many(open_lab())
    engine = Engine(experiment, combinations, torch.bfloat16)
    engine.logprobs([1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = run(engine, BestByPattern(16), count, lambda: None)
    pipe.send((count / rate, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def growth() -> list[dict[str, float]]:
    """Seconds of searches by number of combinations, and memory beyond opening's own peak."""
    context, rows = multiprocessing.get_context("spawn"), []
    for count in GROWTH:
        here, there = context.Pipe()
        process = context.Process(target=_alone, args=(count, there))
        process.start()
        took, memory = here.recv()
        process.join()
        rows.append({"combinations": count, "seconds": took, "memory_mb": memory})
    return rows


def measure(count: int, checked: int, grown: bool) -> dict[str, Any]:
    """Time both, alternating."""
    experiment, combinations = many(open_lab(progress=to_stream()))
    plain = Combinations.of(experiment)
    count = min(count, len(combinations))
    draw = np.random.default_rng(0)
    numbers = draw.integers(1, len(combinations), 200)
    pass_per_prompt(experiment, combinations.edit(int(numbers[0])))
    passes: list[float] = []

    def peer() -> None:
        for number in numbers[len(passes) : len(passes) + 4].tolist():
            edit = combinations.edit(number)
            passes.append(seconds(lambda edit=edit: pass_per_prompt(experiment, edit)))  # type: ignore[misc]

    exact = Engine(experiment, combinations)
    exact.logprobs(numbers)
    speed_exact = run(exact, BestByPattern(), count, peer)
    screening = Engine(experiment, combinations, torch.bfloat16)
    screening.logprobs(numbers)
    leaders = BestByPattern(16)
    speed_screening = run(screening, leaders, 2 * count, peer)
    check = seconds(lambda: verified(experiment, combinations, leaders))
    done = min(2 * count, len(combinations))
    speed_screened = done / (done / speed_screening + check)
    some = draw.integers(1, len(plain), checked)
    ours = Engine(experiment, plain).logprobs(some)
    theirs = torch.stack([oracle.logprobs(experiment, plain.edit(n)) for n in some.tolist()])
    rough = Engine(experiment, plain, torch.bfloat16).logprobs(some)
    needed = shapes(exact)
    work = sum(2 * a * b * c for a, b, c in needed)
    plain_speed, usual_speed = product_speed(needed, torch.float32)
    plain_speed_bf16, _ = product_speed(needed, torch.bfloat16)
    peer_speed = 1 / float(np.median(passes))
    return {
        "combinations_per_s": speed_exact,
        "combinations_per_s_screened": speed_screened,
        "full_pass_combinations_per_s": peer_speed,
        "ratio_exact": speed_exact / peer_speed,
        "ratio_screened": speed_screened / peer_speed,
        "gflops": work * speed_exact / 1e9,
        "gflops_share": work * speed_exact / plain_speed,
        "gflops_plain_product": plain_speed / 1e9,
        "gflops_plain_product_of_pytorch": usual_speed / 1e9,
        "gflops_share_screening": work * speed_screening / plain_speed_bf16,
        "gflop_per_combination": work / 1e9,
        "max_abs_diff": float((ours - theirs).abs().max()),
        "max_abs_diff_screening": float((rough - theirs).abs().max()),
        "checked": checked,
        "combinations_timed": count,
        "combinations_of_the_pair": len(plain),
        "prompts": len(experiment.questions),
        "threads": torch.get_num_threads(),
        "growth": growth() if grown else [],
    }


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    figures = measure(1024, 8, False) if arguments.quick else measure(4096, 64, True)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
