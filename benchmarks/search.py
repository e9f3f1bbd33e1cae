"""The search over edits beside full passes of the model by TransformerLens and transformers.

Usually a user runs one full TransformerLens pass per combination and prompt. At their best both
libraries run batches of 16, 64 or 256 combinations × prompts, in fp32 or in bf16 (`batched`): the
search in fp32 is set against the fastest of these in fp32, the screened one against the fastest of
all. Everything sees the same machine in the same run: the peers' passes are timed between the
engine's. The engine is timed over all combinations of Tokyo's and Paris's own meta-latents
(repeated over a grid of strengths until there are enough to measure); its speed is also set against
a plain matrix product of the shapes it is made of, by the library that is fastest here, and against
a large square one, the most this processor multiplies. Both count what one combination needs in
fp32, so a share says how fast the search is, not how busy the processor: tokens far from likely are
multiplied in bf16 (`metasae.lm.next_tokens`). "At peak" is the ratio that would be reached if the
blocks' products ran at the speed of that large one and nothing else took any time.

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

from benchmarks.batched import FP32, ROWS, Batched, configurations
from benchmarks.figures import parser, print_figures
from benchmarks.peak import product_speed
from benchmarks.peer import pass_per_prompt, seconds
from metasae.lab.lab import Lab, open_lab
from metasae.lm import matmul
from metasae.lm.matmul import Product
from metasae.progress import to_stream
from metasae.search.combinations import Combinations
from metasae.search.engine import Engine
from metasae.search.exhaustive import scan, verified
from metasae.search.patterns import BestByPattern
from metasae.steering.edits import EditOptions, MetaLatentEdit
from metasae.steering.experiment import Experiment
from tests import oracle

GRID = (0.0, 0.5, 1.5, 2.0)
"""Strengths beside the default, so that a pair of few pieces has thousands of combinations."""


PRODUCT_ROWS = 1024
"""Rows of the plain products."""

GROWTH = (1_024, 8_192, 65_536)
"""Combinations of the searches that show how time and memory grow."""


def shapes(engine: Engine) -> list[tuple[int, int, int]]:
    """The matrix products one combination needs, as (rows, in, out), summed over the blocks."""
    config = engine.experiment.model.hf.config
    width, inner = config.hidden_size, config.intermediate_size
    shared = config.num_key_value_heads * (width // config.num_attention_heads)
    count = engine.experiment.model.n_layers - engine.experiment.model.hook_layer
    prompts = engine.prepared.prompts
    tail, read, edited = (
        prompts.prefilled.resid.shape[1],
        len(prompts.only),
        int(prompts.edited.sum()),
    )
    rest = tail * (count - 1) + read
    return [
        (edited + tail * (count - 1), width, width + 2 * shared),
        (rest, width, width),
        (rest, width, 2 * inner),
        (rest, inner, width),
        (read, width, config.vocab_size),
    ]


def whole_pass_work(experiment: Experiment) -> int:
    """Multiply-adds ×2 of one combination when every prompt runs whole, as the peers do it.

    Padding isn't counted, and only what follows the last tokens is unembedded.
    """
    hf = experiment.model.hf
    blocks = sum(p.numel() for p in hf.model.layers.parameters() if p.dim() == 2)
    rows = [experiment.model.prompt_tokens(question.prompt) for question in experiment.questions]
    return 2 * (blocks * sum(map(len, rows)) + hf.lm_head.weight.numel() * len(rows))


def speed_of_shapes(needed: list[tuple[int, int, int]], dtype: torch.dtype) -> tuple[float, float]:
    """Multiply-adds ×2 a second of those products, each with as many rows as it likes.

    Returns:
        By whichever library is fastest here, which is what the engine uses, and by PyTorch's usual
        one.
    """
    fastest, usual = 0.0, 0.0
    for rows, width, out in needed:
        x, weight = torch.randn(PRODUCT_ROWS, width).to(dtype), torch.randn(out, width).to(dtype)
        product = Product(weight)
        with torch.inference_mode():
            fastest += rows / PRODUCT_ROWS * matmul.seconds(lambda: product(x), 8)  # noqa: B023
            usual += rows / PRODUCT_ROWS * matmul.seconds(lambda: linear(x, weight), 8)  # noqa: B023
    work = sum(2 * rows * width * out for rows, width, out in needed)
    return work / fastest, work / usual


class Peers:
    """The peers, timed one pass at a time between the engine's chunks.

    Args:
        rows: sizes of their batches.
    """

    def __init__(
        self, experiment: Experiment, edits: list[MetaLatentEdit], rows: tuple[int, ...]
    ) -> None:
        self.experiment, self.edits = experiment, edits
        self.batched, self.configurations = Batched(experiment), configurations(rows)
        self.changes = self.batched.changes(edits)
        self.alone: list[float] = []
        self.seconds: dict[str, list[float]] = {one.name: [] for one in self.configurations}
        pass_per_prompt(experiment, edits[0])
        for one in self.configurations:
            self.batched.next_logprobs(one, self._some(one.rows))

    def _some(self, rows: int) -> torch.Tensor:
        return self.changes[: max(1, rows // len(self.batched.last))]

    def turn(self) -> None:
        """Some edits row by row, and a batch of every configuration."""
        for edit in self.edits[len(self.alone) : len(self.alone) + 4]:
            self.alone.append(seconds(lambda edit=edit: pass_per_prompt(self.experiment, edit)))  # type: ignore[misc]
        for one in self.configurations:
            some = self._some(one.rows)
            took = seconds(lambda one=one, some=some: self.batched.next_logprobs(one, some))  # type: ignore[misc]
            self.seconds[one.name].append(took / len(some))

    def speeds(self) -> dict[str, float]:
        """Combinations a second of every configuration, at the median of its passes."""
        return {name: 1 / float(np.median(took)) for name, took in self.seconds.items()}

    def differ(self) -> float:
        """Largest difference in nats of a peer in fp32 from our own answers of one token."""
        exact = [one for one in self.configurations if one.precision == FP32]
        return max(self.batched.apart(one, self.edits[:2]) for one in exact)


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


def measure(count: int, checked: int, grown: bool, rows: tuple[int, ...] = ROWS) -> dict[str, Any]:
    """Time all, alternating."""
    experiment, combinations = many(open_lab(progress=to_stream()))
    plain = Combinations.of(experiment)
    count = min(count, len(combinations))
    draw = np.random.default_rng(0)
    numbers = draw.integers(1, len(combinations), 200)
    peers = Peers(experiment, [combinations.edit(n) for n in numbers.tolist()], rows)

    exact = Engine(experiment, combinations)
    exact.logprobs(numbers)
    speed_exact = run(exact, BestByPattern(), count, peers.turn)
    screening = Engine(experiment, combinations, torch.bfloat16)
    screening.logprobs(numbers)
    leaders = BestByPattern(16)
    speed_screening = run(screening, leaders, 2 * count, peers.turn)
    check = seconds(lambda: verified(experiment, combinations, leaders))
    done = min(2 * count, len(combinations))
    speed_screened = done / (done / speed_screening + check)
    some = draw.integers(1, len(plain), checked)
    ours = Engine(experiment, plain).logprobs(some)
    theirs = torch.stack([oracle.logprobs(experiment, plain.edit(n)) for n in some.tolist()])
    rough = Engine(experiment, plain, torch.bfloat16).logprobs(some)
    needed = shapes(exact)
    work = sum(2 * a * b * c for a, b, c in needed)
    # The vocabulary is left out of what peak speed could reach: most of it is never multiplied.
    work_of_blocks = sum(2 * a * b * c for a, b, c in needed[:-1])
    plain_speed, usual_speed = speed_of_shapes(needed, torch.float32)
    plain_speed_bf16, _ = speed_of_shapes(needed, torch.bfloat16)
    large, large_bf16 = product_speed(torch.float32), product_speed(torch.bfloat16)
    peer_speed = 1 / float(np.median(peers.alone))
    speeds = peers.speeds()
    exactly = {one.name: speeds[one.name] for one in peers.configurations if one.precision == FP32}
    best_exact, best = max(exactly, key=exactly.__getitem__), max(speeds, key=speeds.__getitem__)
    return {
        "combinations_per_s": speed_exact,
        "combinations_per_s_screened": speed_screened,
        "full_pass_combinations_per_s": peer_speed,
        "ratio_exact": speed_exact / peer_speed,
        "ratio_screened": speed_screened / peer_speed,
        "ratio_exact_best": speed_exact / speeds[best_exact],
        "ratio_screened_best": speed_screened / speeds[best],
        "ratio_exact_best_at_peak": large / work_of_blocks / speeds[best_exact],
        "ratio_screened_best_at_peak": large_bf16 / work_of_blocks / speeds[best],
        "best_peer_exact": best_exact,
        "best_peer_screened": best,
        "peers_combinations_per_s": speeds,
        "peers_differ_nats": peers.differ(),
        "gflops": work * speed_exact / 1e9,
        "gflops_large_product": large / 1e9,
        "gflops_share_of_large_product": work * speed_exact / large,
        "gflops_share": work * speed_exact / plain_speed,
        "gflops_plain_product": plain_speed / 1e9,
        "gflops_plain_product_of_pytorch": usual_speed / 1e9,
        "gflops_share_screening": work * speed_screening / plain_speed_bf16,
        "gflops_large_product_bf16": large_bf16 / 1e9,
        "gflop_per_combination": work / 1e9,
        "gflop_per_combination_blocks": work_of_blocks / 1e9,
        "gflop_per_combination_whole_passes": whole_pass_work(experiment) / 1e9,
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
    figures = measure(1024, 8, False, (64,)) if arguments.quick else measure(4096, 64, True)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
