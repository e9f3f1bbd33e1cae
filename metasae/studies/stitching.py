"""Stitching: what a larger SAE knows that a smaller one of the same hook doesn't.

Each latent of the larger SAE is added alone to the smaller SAE's reconstruction of held-out text
(`insertion`). Where the squared error falls the latent is *novel*, else a *reconstruction* latent:
it carries what the smaller SAE has already, or what neither needs. The addition ignores that the
smaller SAE would have encoded something else had it had that latent. As controls the same is asked
of a random direction of the same length in the latent's place, and of the latent on other tokens
(what is left of the tokens is shuffled).

Does the largest cosine to the smaller SAE's decoder tell which latents are novel? A low cosine
should; its ROC stands beside that of shuffled classes.

Then one SAE is turned into the other step by step (`stitch_way`), with error, L0 and cross-entropy
at each. The two ends are the SAEs' own, whose objectives may differ: only what happens between
them says how their latents fit together. As a control as many latents come and go at each step,
drawn regardless of what they are.

Tables: ``latents`` (latent, fires, cosine, effect, novel, novel_random, novel_shuffled), the larger
SAE's latents that fire: cosine is the largest one to the smaller SAE's latents, effect the change
of the squared error as a share of the smaller SAE's, the last two the controls; ``roc``
(misses_taken, hits_taken, cosine): shares of the reconstruction and of the novel latents whose
cosine is at most this one; ``way`` (step, mse, unexplained, l0, nats, bias, random_unexplained,
random_l0): mse is the squared error a row, unexplained its share of the rows' variance, nats the
cross-entropy a token, bias the share of the larger SAE's, the last two the control.

Shapes: N rows, F latents of the larger SAE, M of the smaller, D = d_model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.neighbours import VERY_SIMILAR, top_cosines
from metasae.studies import stitch_pictures as pictures
from metasae.studies.firing import activations
from metasae.studies.graphs import similar
from metasae.studies.held_out_text import HeldOutText, in_turn
from metasae.studies.insertion import area_with_intervals, curve, effects
from metasae.studies.stitch_way import Coded, Way, families, walk, way
from metasae.studies.study import (
    Finding,
    Material,
    Study,
    check_smaller_share,
    check_threshold,
    mean_with_interval,
    share_with_interval,
)
from metasae.training.controls import gaussian_like
from metasae.training.held_out import HELD_OUT_WINDOWS

_MOST_STEPS = 1000
"""At each of which the model reads the text once more."""

_OFTEN = 10
"""Times a latent fires from which on its effect is no matter of a few tokens."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        smaller_share: width of the smaller SAE as a share of the open one's; the closest there is
            is taken.
        windows: of held-out text, at most.
        threshold: cosine above which a latent is swapped together with one of the smaller SAE.
        steps: from the smaller SAE to the larger.
        seed: of the orders, the controls and the intervals.

    Raises:
        UserError: for a share or threshold outside 0 to 1, no window, or steps out of range.
    """

    smaller_share: float = 1 / 8
    windows: int = HELD_OUT_WINDOWS
    threshold: float = VERY_SIMILAR
    steps: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        check_smaller_share(self.smaller_share)
        check_threshold(self.threshold)
        if self.windows < 1:
            raise UserError("There is nothing to measure on; give at least one window of text.")
        if not 2 <= self.steps <= _MOST_STEPS:
            raise UserError(
                f"There are {self.steps} steps; give 2, one of them to swap in, to {_MOST_STEPS:,}."
            )


def insertions(
    larger: Coded, smaller: Coded, rows: Float[Tensor, "N D"], draw: np.random.Generator
) -> pd.DataFrame:
    """The table ``latents``, see the module.

    Raises:
        UserError: when no latent fires.
    """
    fires = larger.firings
    which = np.flatnonzero(fires)
    if not len(which):
        raise UserError(
            f"None of the {larger.sae.width:,} latents fires on this text; give more windows."
        )
    directions = larger.sae.W_dec[torch.from_numpy(which)]
    acts, left = larger.acts[:, which], (rows - rebuilt(smaller)).numpy()
    random = gaussian_like(directions, int(draw.integers(2**31)))
    random *= directions.norm(dim=1, keepdim=True)
    ways = (
        effects(acts, left, directions.numpy()),
        effects(acts, left, random.numpy()),
        effects(acts, draw.permutation(left), directions.numpy()),
    )
    total = float(np.square(left, dtype=np.float64).sum())
    return pd.DataFrame(
        {
            "latent": which, "fires": fires[which],
            "cosine": top_cosines(smaller.sae.W_dec, directions, 1)[0][:, 0].numpy(),
            "effect": ways[0] / total, "novel": ways[0] < 0,
            "novel_random": ways[1] < 0, "novel_shuffled": ways[2] < 0,
        }
    )  # fmt: skip


def rebuilt(coded: Coded) -> Float[Tensor, "N D"]:
    """An SAE's own reconstruction of the rows."""
    every = np.ones(coded.sae.width, bool)
    return torch.from_numpy(coded.some(every)[0]) + coded.sae.b_dec


def the_way(latents: pd.DataFrame, larger: Coded, smaller: Coded, config: Configuration,
            draw: np.random.Generator) -> tuple[Way, int]:  # fmt: skip
    """When each latent comes and goes, and the number of latents in the largest family."""
    novel, swapped = (np.zeros(larger.sae.width, bool) for _ in range(2))
    novel[latents["latent"][latents["novel"]]] = True
    swapped[latents["latent"][~latents["novel"]]] = True
    close = similar(larger.sae.W_dec, smaller.sae.W_dec, config.threshold)
    swaps = families(close, swapped)
    gains = swaps.gains(larger.firings, smaller.firings)
    return way(novel, swaps, gains, config.steps, draw), int(swaps.sizes.max())


def measured(
    taken: Way, larger: Coded, smaller: Coded, rows: Float[Tensor, "N D"]
) -> Iterator[tuple[dict[str, float], Float[Tensor, "N D"]]]:
    """Error and L0 before the first step and after each, and what the rows are rebuilt as."""
    spread = float((rows - rows.mean(0)).double().square().sum())
    for made, l0 in walk(taken, larger, smaller):
        left = float((rows - made).double().square().sum())
        yield {"mse": left / len(rows), "unexplained": left / spread, "l0": l0}, made


def told_apart(latents: pd.DataFrame, config: Configuration) -> dict[str, Any]:
    """The figures of the table ``latents``: shares, cosines of either class, and the ROC's area.

    What there are no latents for is None.
    """
    novel, cosine = latents["novel"].to_numpy(), latents["cosine"].to_numpy()
    close, often = cosine > config.threshold, latents["fires"] >= _OFTEN
    both = 0 < novel.sum() < len(novel)

    def mean(values: np.ndarray) -> dict[str, Any] | None:
        return mean_with_interval(values, config.seed) if len(values) else None

    def shares(some: pd.DataFrame) -> dict[str, Any]:
        return {
            "novel": share_with_interval(some["novel"].to_numpy(), config.seed),
            "novel_random": float(some["novel_random"].mean()),
            "novel_shuffled": float(some["novel_shuffled"].mean()),
        }

    return {
        "fire": len(latents),
        **shares(latents),
        "often": {"fire_at_least": _OFTEN, "latents": int(often.sum()), **shares(latents[often])}
        if often.any()
        else None,
        "cosine": {"novel": mean(cosine[novel]), "reconstruction": mean(cosine[~novel])},
        "above_threshold": {
            "threshold": config.threshold,
            "latents": int(close.sum()),
            "novel": float(novel[close].mean()) if close.any() else None,
        },
        "auc": area_with_intervals(-cosine, novel, config.seed) if both else None,
    }


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when the preset has no smaller SAE, there is no text, or no latent fires on it.
    """
    width = material.nearest_width(config.smaller_share)
    text = material.text(config.windows, progress)
    rows, saes = text.rows, (material.sae, material.smaller(width))
    progress("Insertions", 0.0, f"encoding {len(rows):,} tokens")
    larger, smaller = (Coded(sae, activations(sae, rows)) for sae in saes)
    draw = np.random.default_rng(config.seed)
    latents = insertions(larger, smaller, rows, draw)
    progress("Insertions", 0.5, f"{len(latents):,} latents fire")
    classes = told_apart(latents, config)
    taken, largest = the_way(latents, larger, smaller, config, draw)
    drawn = taken.shuffled(larger.firings > 0, draw)
    steps = []
    both_ways = (measured(one, larger, smaller, rows) for one in (taken, drawn))
    for step, ((one, made), (control, _)) in enumerate(zip(*both_ways, strict=True)):
        progress("From the smaller SAE to the larger", step / (taken.steps + 1), f"step {step}")
        nats = _nats(material, text, f"cross-entropy after step {step}", made)
        steps.append(
            {
                "step": step, **one, "nats": nats, "bias": float(taken.bias[step]),
                "random_unexplained": control["unexplained"], "random_l0": control["l0"],
            }
        )  # fmt: skip
    progress("From the smaller SAE to the larger", 1.0, "")
    figures: dict[str, Any] = {
        "smaller_width": width,
        "tokens": len(rows),
        **classes,
        "never_fire": material.sae.width - len(latents),
        "largest_family": largest,
        "swaps_begin": taken.swaps_begin,
        "nats_unchanged": _nats(material, text, "cross-entropy of the text", None),
        "way": steps,
    }
    path = pd.DataFrame(steps)
    roc = curve(-latents["cosine"].to_numpy(), latents["novel"].to_numpy())
    roc = roc.assign(cosine=-roc.pop("score"))
    charts = {
        "cosines": pictures.cosines(latents),
        "roc": pictures.roc(roc),
        "the way": pictures.way(path, taken.swaps_begin),
    }
    left_out: tuple[str, ...] = ()
    if classes["auc"] is None:
        del charts["roc"]
        which = "All" if latents["novel"].any() else "None"
        left_out = (
            f"{which} of the latents that fire are novel, so there is nothing that a cosine could "
            "tell apart.",
        )
    tables = {"latents": latents, "roc": roc, "way": path}
    return Finding(_verdict(figures), figures, tables, charts, left_out)


def _nats(
    material: Material, text: HeldOutText, name: str, made: Float[Tensor, "N D"] | None
) -> float:
    """Cross-entropy a token with other residuals in the text's place, kept with the run's parts."""

    def ask() -> pd.DataFrame:
        nats = text.nats(None if made is None else in_turn(made))
        return pd.DataFrame({"nats": [float(nats.double().sum() / text.tokens.sum())]})

    return float(material.parts.table(name, ask)["nats"][0])


def _verdict(figures: dict[str, Any]) -> str:
    novel, often, auc, path = (figures[name] for name in ("novel", "often", "auc", "way"))
    error, nats = ([one[name] for one in path] for name in ("unexplained", "nats"))
    of_those = (
        f"{often['novel']['value']:.0%} of those that fire at least {_OFTEN} times; "
        if often
        else ""
    )
    told = (
        f"a low cosine tells them with an AUC of {auc['value']:.2f} ({auc['low']:.2f} to "
        f"{auc['high']:.2f}; shuffled {auc['shuffled_low']:.2f} to {auc['shuffled_high']:.2f})"
        if auc
        else "so a cosine has nothing to tell apart"
    )
    return (
        f"{novel['value']:.0%} ({novel['low']:.0%} to {novel['high']:.0%}) of the "
        f"{figures['fire']:,} latents that fire are novel beside {figures['smaller_width']:,} "
        f"({of_those}random directions {figures['novel_random']:.1%}, on other tokens "
        f"{figures['novel_shuffled']:.1%}); {told}; on the way to the larger SAE the unexplained "
        f"variance goes from {error[0]:.1%} to {error[-1]:.1%}, {max(error):.1%} at most, and "
        f"rises at {_rises(error)} of {len(path) - 1} steps, the cross-entropy from {nats[0]:.2f} "
        f"to {nats[-1]:.2f} nats a token, rising at {_rises(nats)}."
    )


def _rises(values: list[float]) -> int:
    return int((np.diff(values) > 0).sum())


STUDY = Study(
    name="stitching",
    title="Stitching",
    question="Does a larger SAE know something that a smaller one doesn't, or the same in pieces?",
    published="On GPT-2 about a third of the larger SAE's latents are novel, and the error falls "
    "at every step of the way from the smaller SAE to the larger.",
    configuration=Configuration,
    run=run,
    words={
        "control": "random directions",
        "fire": "latents that fire",
        "never_fire": "latents that never fire",
        "novel": "novel %",
        "novel_shuffled": "novel, the latents on other tokens %",
        "often": "latents that fire often",
        "fire_at_least": "times they fire at least",
        "cosine.novel": "mean largest cosine of novel latents",
        "cosine.reconstruction": "mean largest cosine of reconstruction latents",
        "above_threshold": "latents close to one of the smaller SAE",
        "threshold": "cosine they have at least",
        "auc": "area under the ROC curve of the largest cosine",
        "largest_family": "largest family swapped at once",
        "swaps_begin": "step at which swaps begin",
        "nats_unchanged": "cross-entropy of the text itself, nats a token",
        "way": "step by step from the smaller SAE to the larger",
        "mse": "mean squared error",
        "unexplained": "variance unexplained %",
        "bias": "share of the larger SAE's bias %",
    },
)
