"""Training a meta-SAE at the post's scale beside SAELens's own trainer, in one run.

49,152 rows of width 768 with planted structure (each a sum of a few of 3,000 directions, and
noise), 2,304 meta-latents, k 4, batches of 16,384. The trainers take turns, a step each, so that
all see the same machine: ours, and SAELens's in fp32 as it comes, with autocast, without rescaling
by the decoder's norms, compiled, and these together; each with the allocator as it is and with one
tuned for all (`steps`). "Best" compares the shortest of SAELens's steps with ours in the same
process. "At peak" is that ratio if our step were nothing but the product that the choice of the
largest activations needs, at the most this processor multiplies. "Dense" is the same loss with
autograd on dense activations. Memory is that of a process of its own that trains with ours alone.

With --steps each then trains by itself to the end (the post's 2,000 steps take SAELens about two
hours here): ours with its own recipe, ours with SAELens's ("equal": k throughout, the authors'
learning rate), SAELens. What it explains on the way is measured at inference: by its own threshold,
and SAELens also by one that gives exactly the mean L0 it was trained for. "Recovered" are the
planted directions that some decoder row has a cosine above 0.9 with. With --folder it is kept on
the way and goes on where it was stopped; with --times SAELens is stopped after so many times the
time that ours took to its end; --peer-rate gives it another rate, --peer-autocast bf16 products.

    python -m benchmarks.train [--quick] [--steps N [--folder DIR] [--times N]] [--json]
    python -m benchmarks.train --scaling
"""

import math
import multiprocessing
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sae_lens
import torch

from benchmarks.figures import parser, print_figures
from benchmarks.peak import product_speed
from benchmarks.peer import seconds
from benchmarks.steps import DENSE, FEW, OURS, RECIPES, SAELENS, best, every_step
from benchmarks.to_the_end import picture, to_the_end
from benchmarks.trainers import PEER_RATE, ROWS, WIDTH, Ours, Recipe, planted
from metasae.lm.matmul import fast_dtype
from metasae.saes import formats
from metasae.saes.selection import select_batch_topk
from metasae.training.gradients import Parameters, loss_and_gradients
from metasae.training.meta_sae import RECIPE
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer

SCALES = (49_152, 196_608, 1_048_576)
"""Rows trained on for the picture of how a step's cost grows."""


def _memory(count: int, steps: int, pipe: Any) -> None:
    """In a process of its own: train, and send the largest resident size and seconds a step."""
    trainer = Trainer(TensorRows(planted(count)), RECIPE, dtype=fast_dtype(), device="cpu")
    trainer.advance()
    took = [seconds(trainer.advance) for _ in range(steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((peak, float(np.median(took))))


def alone(count: int, steps: int) -> dict[str, float]:
    """Peak memory and seconds a step with so many rows."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_memory, args=(count, steps, there))
    process.start()
    peak, step = here.recv()
    process.join()
    return {"rows": count, "peak_mb": peak, "step_s": step, "rows_mb": count * WIDTH * 4 / 2**20}


def measure(turns: int, recipes: Sequence[str]) -> dict[str, Any]:
    """Time the trainers in turn; ``recipes`` are SAELens's configurations by name."""
    # First of all: a child process starts out with its parent's largest size.
    peak = alone(ROWS, 3)["peak_mb"]
    steps = every_step(turns, recipes)
    usual, (allocator, fastest) = steps["usual"], best(steps)
    ours, best_step = steps[allocator][OURS]["median_s"], steps[allocator][fastest]["median_s"]
    at_peak = 2 * RECIPE.batch * WIDTH * RECIPE.width / product_speed(fast_dtype())
    named = {"ours": OURS, "saelens": SAELENS, "dense": DENSE}
    figures: dict[str, Any] = {
        f"step_{name}_s": usual[full]["median_s"] for name, full in named.items()
    }
    figures["ratio_step"] = figures["step_saelens_s"] / figures["step_ours_s"]
    figures["ratio_step_dense"] = figures["step_dense_s"] / figures["step_ours_s"]
    figures |= {
        "ratio_step_best": best_step / ours,
        "step_at_peak_s": at_peak,
        "ratio_step_best_at_peak": best_step / at_peak,
        "best_peer": f"{fastest}, {allocator} allocator",
        "step_best_peer_s": best_step,
        "step_ours_beside_best_peer_s": ours,
        "steps_s": steps,
    }
    trained = Ours(planted(ROWS), replace(RECIPE, steps=turns + 1))
    for _ in range(turns + 1):
        trained.step()
    figures |= agreement(trained)
    return figures | {
        "peak_mb": peak,
        "repeats": turns,
        "precision_of_selection": str(fast_dtype()).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }


def agreement(ours: Ours) -> dict[str, float]:
    """How far our gradients lie from autograd's, and our activations from those that SAELens gives
    for what we wrote: the largest difference, as a share of the largest value.
    """
    p, x = ours.trainer.p, ours.trainer.batch(0)
    with torch.no_grad():
        entries = select_batch_topk((x - p.b_dec) @ p.W_enc.T + p.b_enc, ours.config.k)
        gradients = loss_and_gradients(p, x, entries).gradients
    free = Parameters(**{name: one.clone().requires_grad_() for name, one in p.tensors().items()})
    chosen = torch.zeros(len(x), len(p.W_enc))
    chosen[entries.row, entries.latent] = 1.0
    acts = ((x - free.b_dec) @ free.W_enc.T + free.b_enc).relu() * chosen
    ((x - acts @ free.W_dec - free.b_dec).square().sum() / len(x)).backward()
    apart = [_apart(gradients[name], one.grad) for name, one in free.tensors().items()]

    sae = with_threshold(ours.trainer.result(), ours.rows, ours.config.k)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        formats.save(sae, Path(folder) / "sae", torch.float32)
        theirs = sae_lens.SAE.load_from_disk(Path(folder) / "sae").encode(x)
    return {
        "gradients_differ": max(apart),
        "saelens_differs": _apart(sae.encode(x), theirs),
    }


def _apart(one: torch.Tensor, other: torch.Tensor | None) -> float:
    assert other is not None
    return float((one - other).abs().max() / other.abs().max())


def scaling(out: Path | None) -> list[dict[str, float]]:
    """A step's time and the memory by number of rows; with ``out`` also as a picture."""
    import altair as alt
    import pandas as pd

    figures = [alone(count, 4) for count in SCALES]
    table = pd.DataFrame(figures)
    if out is not None:
        base = alt.Chart(table).encode(alt.X("rows", title="input latents", scale={"type": "log"}))
        step = base.mark_line(point=True).encode(alt.Y("step_s", title="seconds a step"))
        memory = base.mark_line(point=True, color="#d55e00").encode(
            alt.Y("peak_mb", title="peak memory (MB)")
        )
        (step | memory).save(out)
    return figures


def main() -> None:
    """Print the figures."""
    words = parser(__doc__)
    words.add_argument("--steps", type=int, help="also train to the end (the post: 2,000)")
    words.add_argument("--folder", type=Path, help="where a run to the end is kept")
    words.add_argument(
        "--times", type=float, default=math.inf, metavar="N",
        help="stop SAELens once it has taken N times our whole training",
    )  # fmt: skip
    words.add_argument("--peer-rate", type=float, default=PEER_RATE, help="SAELens's rate")
    words.add_argument("--peer-autocast", action="store_true", help="SAELens in bf16 products")
    words.add_argument("--picture", type=Path, help="SVG of what is explained after which time")
    words.add_argument("--scaling", type=Path, nargs="?", const=Path("docs/scaling.svg"))
    arguments = words.parse_args()
    if arguments.scaling:
        figures: dict[str, Any] = {"scaling": scaling(arguments.scaling)}
    else:
        figures = measure(2, FEW) if arguments.quick else measure(10, tuple(RECIPES))
        if arguments.steps:
            with tempfile.TemporaryDirectory() as folder:
                kept = arguments.folder or Path(folder)
                figures |= to_the_end(
                    arguments.steps,
                    kept,
                    arguments.times,
                    arguments.peer_rate,
                    Recipe(autocast=arguments.peer_autocast),
                )
            if arguments.picture:
                picture(figures["curves"], arguments.picture)
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
