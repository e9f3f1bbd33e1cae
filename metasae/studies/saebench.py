"""SAEBench's composition row: what a meta-SAE of a quarter of the width explains, at k 4.

Published on Gemma: ReLU SAEs 0.53, BatchTopK 0.49, Matryoshka 0.35; the lower, the more atomic the
latents. The recipe is SAEBench's (1,500 steps of 1,024 directions, a constant rate of 5e-4, k
throughout, variance around the mean), run by this package's trainer instead of SAELens's, and read
at one threshold at which the directions have the trained L0. Beside it stands the same on Gaussian
rows, which SAEBench doesn't have.

Tables: ``starts`` (seed, l0, fve, fve_centred, control_fve_centred, dead), one row a start.
"""

import math
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress
from metasae.studies.parts import Parts
from metasae.studies.study import Finding, Material, Study
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.controls import gaussian_like
from metasae.training.meta_sae import RECIPE, train_meta_sae
from metasae.training.rows import TensorRows

K = 4
"""Active meta-latents a latent."""

RATIO = 0.25
"""The meta-SAE's width as a share of the SAE's."""

KIND = "meta_sae_decoder_variance"
"""What SAEBench calls this evaluation in its files."""


@dataclass(frozen=True)
class Configuration:
    """How the row is made.

    Attributes:
        steps, batch, rate: of each training; the defaults are SAEBench's.
        starts: seeds that are trained.
        seed: the first of them.

    Raises:
        UserError: for fewer than one step, direction or start, or a rate that is not positive.
    """

    steps: int = 1500
    batch: int = 1024
    rate: float = 5e-4
    starts: int = 3
    seed: int = 42

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.starts) < 1:
            raise UserError("There is nothing to train; give at least one step, row and start.")
        if not 0 < self.rate < math.inf:
            raise UserError(f"The learning rate is {self.rate}; it must be above 0, such as 5e-4.")

    def recipe(self, latents: int, number: int) -> TrainConfig:
        """How the meta-SAE of one start is trained.

        Raises:
            UserError: when a quarter of the latents is fewer than `K`.
        """
        width = math.ceil(RATIO * latents)
        if width < K:
            raise UserError(
                f"A quarter of {latents:,} latents is fewer than the {K} meta-latents a latent is "
                "made of; open a wider SAE."
            )
        return replace(
            RECIPE, width=width, k=K, steps=self.steps, batch=min(self.batch, latents),
            first_k=1.0, lr=self.rate, warmup=0, decay=0.0, betas=(0.9, 0.999),
            seed=self.seed + number,
        )  # fmt: skip


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: as `Configuration.recipe`.
    """
    sae, starts = material.sae, []
    for number in range(config.starts):
        recipe = config.recipe(sae.width, number)
        gaussian = gaussian_like(sae.W_dec, recipe.seed)
        which = f"{number + 1} of {config.starts}"
        real = _trained(material.parts, recipe, sae.W_dec, f"Meta-SAE {which}", progress)
        chance = _trained(material.parts, recipe, gaussian, f"Gaussian rows {which}", progress)
        starts.append(real.assign(control_fve_centred=chance["fve_centred"]))
    made = pd.concat(starts, ignore_index=True)
    table = made[["seed", "l0", "fve", "fve_centred", "control_fve_centred", "dead"]]
    rows = table.to_dict("records")
    mean, chance_mean = table[["fve_centred", "control_fve_centred"]].mean().tolist()
    low, high = float(table["fve_centred"].min()), float(table["fve_centred"].max())
    width = config.recipe(sae.width, 0).width
    figures: dict[str, Any] = {
        "width": width, "k": K, "fve_centred": mean, "low": low, "high": high,
        "control_fve_centred": chance_mean, "starts": rows,
        "saebench": saebench_row(material, config, rows[0]["fve_centred"], made["seconds"][0]),
    }  # fmt: skip
    spread = f" ({low:.3f} to {high:.3f} over {len(rows)} starts)" if len(rows) > 1 else ""
    verdict = (
        f"A meta-SAE of {width:,} at {K} active explains {mean:.3f} of the variance of the decoder "
        f"directions{spread}, and of Gaussian rows {chance_mean:.3f}."
    )
    return Finding(verdict, figures, {"starts": table}, {"by start": _picture(table)})


def _trained(
    parts: Parts,
    recipe: TrainConfig,
    directions: Float[Tensor, "F D"],
    stage: str,
    progress: Progress,
) -> pd.DataFrame:
    """How good one training's meta-SAE is, as a row; kept once it is known.

    Its seconds are not a number where it was stopped in between.
    """

    def train() -> pd.DataFrame:
        checkpoint = parts.checkpoint(stage)
        whole, began = checkpoint is None or not checkpoint.exists(), time.perf_counter()
        meta = train_meta_sae(
            TensorRows(directions), recipe, progress=progress, stage=stage, checkpoint=checkpoint,
            dtype=fast_dtype(),
        )  # fmt: skip
        seconds = time.perf_counter() - began
        good = explained.quality(meta, directions)
        values = {
            "seed": recipe.seed, "l0": good.l0, "fve": good.fve, "fve_centred": good.fve_centred,
            "dead": good.dead, "seconds": seconds if whole else math.nan,
        }  # fmt: skip
        return pd.DataFrame([values])

    return parts.table(stage, train)


def saebench_row(
    material: Material, config: Configuration, fve: float, seconds: float
) -> dict[str, Any]:
    """One start in the layout of SAEBench's result files.

    Args:
        fve: variance explained around the mean.
        seconds: the training took; not a number where that isn't known.
    """
    directions = material.sae.W_dec
    recipe, made = config.recipe(material.sae.width, 0), material.provenance
    centred = (directions - directions.mean(0)).double().square().mean()
    return {
        "eval_type_id": KIND,
        "eval_id": str(uuid.uuid4()),
        "datetime_epoch_millis": int(1000 * time.time()),
        "eval_config": {
            "random_seed": recipe.seed, "width_ratio": RATIO, "k": K, "train_steps": recipe.steps,
            "train_batch_size": recipe.batch, "learning_rate": recipe.lr, "weight_decay": 0.0,
            "dead_feature_window": recipe.dead_after, "dtype": "float32",
        },
        "eval_result_metrics": {
            "meta_sae": {
                "decoder_fraction_variance_explained": fve,
                "train_time_seconds": seconds,
                "final_reconstruction_mse": float(centred) * (1 - fve),
            }
        },
        "eval_result_details": [],
        "sae_bench_commit_hash": f"metasae {made.version}" if made else "metasae",
        "sae_lens_id": made.sae if made else "",
        "sae_lens_release_id": made.preset if made else "",
        "sae_lens_version": None,
        "sae_cfg_dict": {"d_in": material.sae.d_in, "d_sae": material.sae.width},
    }  # fmt: skip


def _picture(table: pd.DataFrame) -> Any:
    """What is explained from each start, beside Gaussian rows."""
    import altair as alt

    names = {"fve_centred": "decoder directions", "control_fve_centred": "Gaussian rows"}
    long = table.rename(columns=names).melt("seed", list(names.values()), "rows", "explained")
    return (
        alt.Chart(long)
        .mark_point(filled=True, size=80)
        .encode(
            alt.X("explained:Q", title="variance explained", scale=alt.Scale(domain=[0, 1])),
            alt.Y("rows:N", title=None),
            tooltip=["rows", "seed", alt.Tooltip("explained:Q", format=".3f")],
        )
        .properties(width=420, height=80)
    )


STUDY = Study(
    name="saebench",
    title="SAEBench's row",
    question="How much of the decoder does a meta-SAE of a quarter of the width explain?",
    published="On Gemma ReLU SAEs 0.53, BatchTopK 0.49, Matryoshka 0.35.",
    configuration=Configuration,
    run=run,
    words={
        "control": "Gaussian rows",
        "width": "meta-latents",
        "k": "active meta-latents a latent in training",
        "starts": "a start a row",
        "dead": "meta-latents never active",
    },
)
