"""Training with each trainer to the end, and what both explain on the way."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer import seconds
from benchmarks.trainers import PEER_RATE, ROWS, Ours, Recipe, SAELens, directions, planted
from metasae.progress import to_stream
from metasae.sources.files import read_json, write_json
from metasae.training.meta_sae import RECIPE

MARKS = (10, 30, 100, 300, 600, 1_000, 1_500)
"""Steps after which what is explained is measured on the way."""

KEPT_EVERY = 25
"""Steps after which a run to the end is kept."""


def recovered(decoder: torch.Tensor, seed: int = 0) -> int:
    """Planted directions that a decoder row, (F, WIDTH), has a cosine above 0.9 with."""
    atoms = directions(torch.Generator().manual_seed(seed))
    cosines = torch.nn.functional.normalize(decoder.detach()) @ atoms.T
    return int((cosines.amax(0) > 0.9).sum())


def to_the_end(
    steps: int,
    folder: Path,
    times: float = math.inf,
    rate: float = PEER_RATE,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Train with each to the end; what both explain on the way, and after how many seconds.

    Args:
        rate: SAELens's, and ours at the equal recipe, which has k throughout.
        recipe: how SAELens is run.
        times: stop SAELens once it has taken so many times our whole training; ``steps_saelens``
            then says how far it came, and ``ratio_total`` is what it had taken by then.
    """
    progress = to_stream()
    rows, config = planted(ROWS), replace(RECIPE, steps=steps)
    curves: dict[str, list[dict[str, float]]] = {}
    figures: dict[str, Any] = {}
    trainers: dict[str, Ours | SAELens] = {
        "ours": Ours(rows, config),
        "equal": Ours(rows, replace(config, first_k=1.0, lr=rate)),
        "saelens": SAELens(rows, config, rate, recipe),
    }
    for name, trainer in trainers.items():
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {"step": 0, "seconds": 0.0, "curve": []}
        if (here / "state.json").exists():
            state = read_json(here / "state.json")
            trainer.restore(here)
        # The trainer's own count: it is kept first, so a kill may leave the other a little behind.
        limit = times * curves["ours"][-1]["seconds"] if name == "saelens" else math.inf
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
                write_json(here / "state.json", state)
            progress(f"To the end: {name}", trainer.done / steps, "")
        curves[name] = state["curve"]
        figures[f"recovered_{name}"] = recovered(trainer.decoder)
    ours, equal, peer = (curves[name][-1] for name in trainers)
    return figures | {
        "steps": steps,
        "steps_saelens": peer["step"],
        "total_ours_s": ours["seconds"],
        "total_saelens_s": peer["seconds"],
        "ratio_total": peer["seconds"] / ours["seconds"],
        "fve_ours": ours["fve"],
        "l0_ours": ours["l0"],
        "fve_equal": equal["fve"],
        "l0_equal": equal["l0"],
        "fve_saelens": peer["fve"],
        "l0_saelens": peer["l0"],
        "fve_saelens_our_threshold": peer["fve_our_threshold"],
        "curves": curves,
    }


def picture(curves: dict[str, list[dict[str, float]]], out: Path) -> None:
    """Draw what both explain at an L0 of k, against the seconds spent."""
    import altair as alt
    import pandas as pd

    names = {"ours": "this workbench", "equal": "at SAELens's recipe", "saelens": "SAELens"}
    table = pd.DataFrame(
        {
            "trainer": names[name],
            "seconds": point["seconds"],
            "fve": point.get("fve_our_threshold", point["fve"]),
        }
        for name, points in curves.items()
        for point in points
    )
    colours = alt.Scale(domain=list(names.values()), range=["#0072b2", "#56b4e9", "#d55e00"])
    alt.Chart(table, width=460, height=260).mark_line(point=True).encode(
        alt.X("seconds", title="seconds of training (2 cores)", scale={"type": "log"}),
        alt.Y("fve", title="variance explained at inference, L0 4", scale={"domain": [0, 0.8]}),
        alt.Color("trainer", title=None, scale=colours),
    ).save(out)
