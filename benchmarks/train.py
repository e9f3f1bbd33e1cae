"""Training a meta-SAE at the post's scale beside SAELens's own trainer, in one run.

49,152 rows of width 768 with planted structure (each a sum of a few of 3,000 directions, and
noise), 2,304 meta-latents, k 4, batches of 16,384. The trainers take turns, a step each, so that
all see the same machine. "Dense" is the same loss with autograd on dense activations. Memory is
that of a process of its own that trains with ours alone.

With --steps each then trains by itself to the end (the post's 2,000 steps take SAELens about two
hours here), ours with its own recipe, SAELens with the authors' learning rate. What it explains on
the way is measured at inference: by its own threshold, and SAELens also by one that gives exactly
the mean L0 it was trained for. "Recovered" are the planted directions that some decoder row has a
cosine above 0.9 with. With --folder it is kept on the way and goes on where it was stopped; with
--times SAELens is stopped after so many times the time that ours took to its end. With --plain ours
has k throughout and SAELens's rate; --peer-rate gives SAELens another.

    python -m benchmarks.train [--quick] [--steps N [--folder DIR] [--times N] [--plain]] [--json]
    python -m benchmarks.train --scaling
"""

import argparse
import json
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sae_lens
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file, save_file

from metasae.lm.matmul import fast_dtype
from metasae.progress import to_stream
from metasae.saes import formats
from metasae.saes.selection import select_batch_topk
from metasae.sources.files import written_whole
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.gradients import Parameters, loss_and_gradients
from metasae.training.meta_sae import RECIPE
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer

ROWS, WIDTH, ATOMS, PARTS = 49_152, 768, 3_000, 4
NOISE = 0.35
"""Length of the noise beside a row's structure of length one."""

PEER_RATE = 1e-3
"""SAELens's learning rate: the authors'. Its own default is 3e-4."""

MARKS = (10, 30, 100, 300, 600, 1_000, 1_500)
"""Steps after which what is explained is measured on the way."""

KEPT_EVERY = 25
"""Steps after which a run to the end is kept."""

SCALES = (49_152, 196_608, 1_048_576)
"""Rows trained on for the picture of how a step's cost grows."""


def directions(draw: torch.Generator) -> torch.Tensor:
    """The unit directions that are planted, (ATOMS, WIDTH)."""
    return torch.nn.functional.normalize(torch.randn(ATOMS, WIDTH, generator=draw))


def planted(rows: int, seed: int = 0) -> torch.Tensor:
    """Unit rows: sums of a few of the atoms with positive weights, and noise."""
    draw = torch.Generator().manual_seed(seed)
    atoms = directions(draw)
    out = torch.empty(rows, WIDTH)
    for part in out.split(16_384):
        chosen = torch.randint(ATOMS, (len(part), PARTS), generator=draw)
        weights = 0.5 + torch.rand(len(part), PARTS, generator=draw)
        structure = torch.nn.functional.embedding_bag(
            chosen, atoms, mode="sum", per_sample_weights=weights
        )
        noise = torch.randn(len(part), WIDTH, generator=draw) * (NOISE / WIDTH**0.5)
        part.copy_(torch.nn.functional.normalize(structure) + noise)
    return torch.nn.functional.normalize(out)


def batches(rows: torch.Tensor, config: TrainConfig, done: int = 0) -> Iterator[torch.Tensor]:
    """Endless shuffled batches for the peers, without the first ones."""
    draw = np.random.default_rng(config.seed)
    while True:
        order = draw.permutation(len(rows))
        for begin in range(0, len(rows) - config.batch + 1, config.batch):
            if done:
                done -= 1
                continue
            yield rows[torch.from_numpy(order[begin : begin + config.batch])]


class Ours:
    """The sparse kernel."""

    def __init__(self, rows: torch.Tensor, config: TrainConfig) -> None:
        self.rows, self.config = rows, config
        self.trainer = Trainer(TensorRows(rows), config, dtype=fast_dtype(), device="cpu")

    def step(self) -> None:
        """One step."""
        self.trainer.advance()

    def quality(self) -> dict[str, float]:
        """Variance explained and L0 at inference."""
        sae = with_threshold(self.trainer.result(), self.rows, self.config.k)
        quality = explained.quality(sae, self.rows)
        return {"fve": quality.fve, "l0": quality.l0}

    @property
    def decoder(self) -> torch.Tensor:
        """Its rows."""
        return self.trainer.p.W_dec

    @property
    def done(self) -> int:
        """Steps so far."""
        return self.trainer.step

    def save(self, folder: Path) -> None:
        """Keep what the next step needs."""
        self.trainer.save(folder / "trainer.safetensors")

    def restore(self, folder: Path) -> None:
        """Go on from what was kept."""
        self.trainer.restore(folder / "trainer.safetensors")


class SAELens:
    """SAELens's trainer on its own BatchTopK SAE, with the same optimiser settings but for the
    rate."""

    def __init__(self, rows: torch.Tensor, config: TrainConfig, rate: float = PEER_RATE) -> None:
        torch.manual_seed(config.seed)
        self.rows, self.config = rows, config
        self.sae = BatchTopKTrainingSAE(
            BatchTopKTrainingSAEConfig(
                d_in=rows.shape[1], d_sae=config.width, k=config.k, device="cpu", dtype="float32",
                normalize_activations="none", apply_b_dec_to_input=True,
            )
        )  # fmt: skip
        settings = SAETrainerConfig(
            total_training_samples=config.batch * config.steps,
            train_batch_size_samples=config.batch,
            lr=rate,
            lr_end=0.0,
            lr_warm_up_steps=config.warmup,
            lr_decay_steps=int(config.decay * config.steps),
            adam_beta1=config.betas[0],
            adam_beta2=config.betas[1],
            dead_feature_window=config.dead_after,
        )
        self.batches = batches(rows, config)
        self.trainer = SAETrainer(settings, self.sae, self.batches)

    def step(self) -> None:
        """One step as `fit` does it, without its progress bar."""
        self.trainer.step(next(self.batches))
        self.trainer.n_training_steps += 1

    @torch.no_grad()
    def quality(self) -> dict[str, float]:
        """Variance explained and L0 at inference, as saved and opened by SAELens; and the variance
        explained with our threshold in place of its own."""
        with tempfile.TemporaryDirectory() as folder:
            self.sae.save_inference_model(folder)
            opened = sae_lens.SAE.load_from_disk(folder)
        fve, l0 = self._explained(opened)
        opened.threshold.zero_()
        count = self.sae.cfg.k * len(self.rows)
        largest = torch.empty(0)
        for part in self.rows.split(2048):
            largest = torch.cat([largest, opened.encode(part).flatten()])
            largest = largest.topk(min(int(count) + 1, len(largest))).values
        opened.threshold.fill_(float(largest[-1]))
        return {"fve": fve, "l0": l0, "fve_our_threshold": self._explained(opened)[0]}

    @property
    def decoder(self) -> torch.Tensor:
        """Its rows."""
        return self.sae.W_dec

    @property
    def done(self) -> int:
        """Steps so far."""
        return self.trainer.n_training_steps

    def save(self, folder: Path) -> None:
        """Keep what the next step needs."""
        save_file(dict(self.sae.state_dict()), folder / "sae.safetensors")
        self.trainer.save_trainer_state(folder)

    def restore(self, folder: Path) -> None:
        """Go on from what was kept."""
        self.sae.load_state_dict(load_file(folder / "sae.safetensors"))
        self.trainer.load_trainer_state(folder)
        self.batches = batches(self.rows, self.config, self.trainer.n_training_steps)

    def _explained(self, sae: Any) -> tuple[float, float]:
        left, active = 0.0, 0
        for part in self.rows.split(2048):
            acts = sae.encode(part)
            left += float((part - sae.decode(acts)).square().sum())
            active += int((acts > 0).sum())
        return 1 - left / float(self.rows.square().sum()), active / len(self.rows)


class Dense:
    """The same loss by autograd on dense activations, fp32."""

    def __init__(self, rows: torch.Tensor, config: TrainConfig) -> None:
        self.config, self.batches = config, batches(rows, config)
        start = Trainer(TensorRows(rows[:1]), config, device="cpu").p
        self.p = start
        for tensor in start.tensors().values():
            tensor.requires_grad_(True)
        self.optimiser = torch.optim.Adam(
            list(start.tensors().values()), lr=config.lr, betas=config.betas, fused=True
        )

    def step(self) -> None:
        """One step."""
        x, p = next(self.batches), self.p
        acts = ((x - p.b_dec) @ p.W_enc.T + p.b_enc).relu()
        top = acts.flatten().topk(self.config.k * len(x), sorted=False)
        kept = torch.zeros_like(acts).flatten().scatter(0, top.indices, top.values).view_as(acts)
        loss = (x - kept @ p.W_dec - p.b_dec).square().sum() / len(x)
        loss.backward()
        with torch.no_grad():
            assert p.W_dec.grad is not None
            p.W_dec.grad -= (p.W_dec.grad * p.W_dec).sum(1, keepdim=True) * p.W_dec
            self.optimiser.step()
            self.optimiser.zero_grad()
            p.W_dec /= p.W_dec.norm(dim=1, keepdim=True)


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


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


def measure(turns: int) -> dict[str, Any]:
    """Time the trainers in turn."""
    progress = to_stream()
    # First of all: a child process starts out with its parent's largest size.
    peak = alone(ROWS, 3)["peak_mb"]
    rows, config = planted(ROWS), replace(RECIPE, steps=turns + 1)
    ours, peer, dense = Ours(rows, config), SAELens(rows, config), Dense(rows, config)
    times: dict[str, list[float]] = {"ours": [], "saelens": [], "dense": []}
    for turn in range(turns + 1):
        for name, trainer in (("ours", ours), ("saelens", peer), ("dense", dense)):
            took = seconds(trainer.step)
            if turn:
                times[name].append(took)
        progress("A step each", turn / turns, f"{turn} of {turns}")
    del dense
    figures: dict[str, Any] = {
        f"step_{name}_s": float(np.median(values)) for name, values in times.items()
    }
    figures["ratio_step"] = figures["step_saelens_s"] / figures["step_ours_s"]
    figures["ratio_step_dense"] = figures["step_dense_s"] / figures["step_ours_s"]
    figures |= agreement(ours)
    return figures | {
        "peak_mb": peak,
        "precision_of_selection": str(fast_dtype()).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }


def recovered(decoder: torch.Tensor, seed: int = 0) -> int:
    """Planted directions that a decoder row, (F, WIDTH), has a cosine above 0.9 with."""
    atoms = directions(torch.Generator().manual_seed(seed))
    cosines = torch.nn.functional.normalize(decoder.detach()) @ atoms.T
    return int((cosines.amax(0) > 0.9).sum())


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


def to_the_end(
    steps: int, folder: Path, times: float = math.inf, plain: bool = False, rate: float = PEER_RATE
) -> dict[str, Any]:
    """Train with each to the end; what both explain on the way, and after how many seconds.

    Args:
        plain: ours with k throughout and SAELens's usual rate.
        rate: SAELens's.
        times: stop SAELens once it has taken so many times our whole training; ``steps_saelens``
            then says how far it came, and ``ratio_total`` is what it had taken by then.
    """
    progress = to_stream()
    rows, config = planted(ROWS), replace(RECIPE, steps=steps)
    curves: dict[str, list[dict[str, float]]] = {}
    figures: dict[str, Any] = {}
    own = replace(config, first_k=1.0, lr=PEER_RATE) if plain else config
    for name, trainer in (("ours", Ours(rows, own)), ("saelens", SAELens(rows, config, rate))):
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {"step": 0, "seconds": 0.0, "curve": []}
        if (here / "state.json").exists():
            state = json.loads((here / "state.json").read_text())
            trainer.restore(here)
        # The trainer's own count: it is kept first, so a kill may leave the other a little behind.
        limit = times * curves["ours"][-1]["seconds"] if curves else math.inf
        while trainer.done < steps and state["seconds"] < limit:
            state["seconds"] += seconds(trainer.step)
            state["step"] = trainer.done
            ended = trainer.done == steps or state["seconds"] >= limit
            measured = trainer.done in MARKS or ended
            if measured:
                spent = {"step": trainer.done, "seconds": state["seconds"]}
                state["curve"].append(spent | trainer.quality())
            if measured or trainer.done % KEPT_EVERY == 0:
                trainer.save(here)
                with written_whole(here / "state.json") as part:
                    part.write_text(json.dumps(state))
            progress(f"To the end: {name}", trainer.done / steps, "")
        curves[name] = state["curve"]
        figures[f"recovered_{name}"] = recovered(trainer.decoder)
    ours, peer = curves["ours"][-1], curves["saelens"][-1]
    return figures | {
        "steps": steps,
        "steps_saelens": peer["step"],
        "total_ours_s": ours["seconds"],
        "total_saelens_s": peer["seconds"],
        "ratio_total": peer["seconds"] / ours["seconds"],
        "fve_ours": ours["fve"],
        "l0_ours": ours["l0"],
        "fve_saelens": peer["fve"],
        "l0_saelens": peer["l0"],
        "fve_saelens_our_threshold": peer["fve_our_threshold"],
        "curves": curves,
    }


def picture(curves: dict[str, list[dict[str, float]]], out: Path) -> None:
    """Draw what both explain at an L0 of k, against the seconds spent."""
    import altair as alt
    import pandas as pd

    names = {"ours": "this workbench", "saelens": "SAELens"}
    table = pd.DataFrame(
        {
            "trainer": names[name],
            "seconds": point["seconds"],
            "fve": point.get("fve_our_threshold", point["fve"]),
        }
        for name, points in curves.items()
        for point in points
    )
    colours = alt.Scale(domain=list(names.values()), range=["#0072b2", "#d55e00"])
    alt.Chart(table, width=460, height=260).mark_line(point=True).encode(
        alt.X("seconds", title="seconds of training (2 cores)", scale={"type": "log"}),
        alt.Y("fve", title="variance explained at inference, L0 4", scale={"domain": [0, 0.8]}),
        alt.Color("trainer", title=None, scale=colours),
    ).save(out)


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps only, within 45 s")
    parser.add_argument("--steps", type=int, help="also train to the end (the post: 2,000)")
    parser.add_argument("--folder", type=Path, help="where a run to the end is kept")
    parser.add_argument(
        "--times", type=float, default=math.inf, metavar="N",
        help="stop SAELens once it has taken N times our whole training",
    )  # fmt: skip
    parser.add_argument(
        "--plain", action="store_true", help="ours with k throughout, SAELens's rate"
    )
    parser.add_argument("--peer-rate", type=float, default=PEER_RATE, help="SAELens's rate")
    parser.add_argument("--picture", type=Path, help="SVG of what is explained after which time")
    parser.add_argument("--scaling", type=Path, nargs="?", const=Path("docs/scaling.svg"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.scaling:
        figures: dict[str, Any] = {"scaling": scaling(arguments.scaling)}
    else:
        figures = measure(3 if arguments.quick else 10)
        if arguments.steps:
            with tempfile.TemporaryDirectory() as folder:
                kept = arguments.folder or Path(folder)
                figures |= to_the_end(
                    arguments.steps, kept, arguments.times, arguments.plain, arguments.peer_rate
                )
            if arguments.picture:
                picture(figures["curves"], arguments.picture)
    if arguments.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    for name, value in figures.items():
        text = f"{value:,.4g}" if isinstance(value, float) else str(value)
        sys.stdout.write(f"{name:>24}  {text}\n")


if __name__ == "__main__":
    main()
