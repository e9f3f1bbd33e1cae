"""What the decoder's directions can be rebuilt from, at the same number of parts.

The meta-SAE; the same with its decoder's rows replaced by the nearest latents of each smaller SAE,
and with the encoder trained anew for those rows; orthogonal matching pursuit over the meta-latents,
over each smaller SAE, over an SAE that was started elsewhere and over random rows; the largest
principal coefficients. The post finds 55.47 % for 2,304 meta-latents of 49,152 directions, and only
slightly less with the nearest latents of smaller SAEs.

Everything is read at the meta-SAE's own L0 (rounded up for what takes a whole number of parts), and
each figure has the L0 it was measured at beside it.

Tables: ``rows`` (way, parts_of, seed, l0, fve, low, high, fve_centred, latents): fve is uncentred,
1 − Σ‖d − d̂‖² / Σ‖d‖², with its bootstrap interval over latents; ``parts_of`` the number of rows
there are to choose from.

Shapes: F latents, M rows to rebuild from, D = d_model.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.neighbours import top_cosines
from metasae.saes.pursuit import pursuits
from metasae.sources.files import expanded
from metasae.studies.settings import PLACE
from metasae.studies.study import Finding, Material, Study, ratio_with_interval
from metasae.training.controls import gaussian_like, principal_components
from metasae.training.meta_sae import RECIPE
from metasae.training.rows import TensorRows
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer

_CHUNK = 2048
"""Directions that are rebuilt at once."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        smallest: largest share of the open SAE's width that a smaller SAE may have to take part
            (the post's four have up to 6,144 of 49,152).
        steps: of the encoder's training on fixed rows; 0: none. The post has 5,000 passes over all
            directions.
        batch: directions a step.
        seed: of the random rows, the training and the intervals.
        elsewhere: folder of another SAE of the same hook, started elsewhere, whose latents are
            pursued over as the smaller SAEs' are (`train-sae` makes one); none when left out.

    Raises:
        UserError: for a share that is not below 1, or a negative number of steps.
    """

    smallest: float = 1 / 8
    steps: int = 1000
    batch: int = 4096
    seed: int = 0
    elsewhere: str = field(default="", metadata=PLACE)

    def __post_init__(self) -> None:
        if not 0 < self.smallest < 1:
            raise UserError(f"The share is {self.smallest}; give one between 0 and 1.")
        if self.steps < 0 or self.batch < 1:
            raise UserError("Give a number of steps from 0 on, and at least one direction a step.")


@dataclass(frozen=True)
class Rebuilt:
    """What one way leaves of every direction.

    Attributes:
        left: squared length that is not rebuilt, (F,).
        l0: mean number of parts.
    """

    left: Float[Tensor, " F"]
    l0: float


def by_sae(sae: SparseAutoencoder, directions: Float[Tensor, "F D"]) -> Rebuilt:
    """By an SAE, at its threshold."""
    left, active = [], 0
    for some in directions.split(_CHUNK):
        acts = sae.encode(some)
        left.append((some - sae.decode(acts)).square().sum(1))
        active += int((acts > 0).sum())
    return Rebuilt(torch.cat(left), active / len(directions))


def by_pursuit(rows: Float[Tensor, "M D"], directions: Float[Tensor, "F D"], parts: int) -> Rebuilt:
    """By orthogonal matching pursuit over some rows."""
    made = pursuits(rows, directions, parts)
    return Rebuilt(made.left[:, -1], float((made.latents >= 0).sum()) / len(directions))


def by_nearest(
    meta: SparseAutoencoder, others: Float[Tensor, "N D"], directions: Float[Tensor, "F D"]
) -> tuple[SparseAutoencoder, Rebuilt]:
    """By the meta-SAE with each decoder row replaced by the nearest of some others."""
    _, which = top_cosines(others, meta.W_dec, 1)
    replaced = replace(meta, W_dec=normalize(others[which[:, 0]]))
    return replaced, by_sae(replaced, directions)


def encoder_trained(
    start: SparseAutoencoder,
    directions: Float[Tensor, "F D"],
    k: float,
    config: Configuration,
    progress: Progress,
    stage: str,
    checkpoint: Path | None = None,
) -> SparseAutoencoder:
    """An SAE whose encoder and biases are trained for the decoder it has.

    Args:
        k: mean number of active latents.
        checkpoint: file that the training goes on from.
    """
    recipe = replace(
        RECIPE, width=start.width, k=max(1, round(k)), steps=config.steps, first_k=1.0,
        batch=min(config.batch, len(directions)), seed=config.seed, start="sae", lr=1e-3,
        train_decoder=False,
    )  # fmt: skip
    trainer = Trainer(TensorRows(directions), recipe, initial=start, dtype=fast_dtype())
    trainer.run(checkpoint, progress=progress, stage=stage)
    return with_threshold(trainer.result(), directions, k)


Way = tuple[str, int, int, Callable[[], Rebuilt]]
"""Name, rows there are to choose from, which meta-SAE, what tells what it leaves."""


def ways(material: Material, config: Configuration, progress: Progress) -> Iterator[Way]:
    """All but the principal components; each is tried when its last part is called."""
    directions = material.sae.W_dec
    for number, one in enumerate(material.decompositions):
        meta = one.meta
        l0 = by_sae(meta, directions).l0
        yield "meta-SAE", meta.width, number, partial(by_sae, meta, directions)
        yield (
            "pursuit over meta-latents", meta.width, number,
            partial(by_pursuit, meta.W_dec, directions, whole(l0)),
        )  # fmt: skip
        for width in _widths(material, config):
            name = f"nearest of {width:,} latents"
            nearest = partial(by_nearest, meta, material.smaller(width).W_dec, directions)
            yield name, width, number, partial(_left_of, nearest)
            if config.steps:
                name = f"{name}, encoder trained"
                checkpoint = material.parts.checkpoint(_part(name, number))
                trained = partial(
                    encoder_trained, directions=directions, k=l0, config=config,
                    progress=progress, stage=f"Meta-SAE {number}, {name}", checkpoint=checkpoint,
                )  # fmt: skip
                yield name, width, number, partial(_left_trained, nearest, trained, directions)
    parts = whole(by_sae(material.decomposition.meta, directions).l0)
    for width in _widths(material, config):
        rows = normalize(material.smaller(width).W_dec)
        yield (
            f"pursuit over {width:,} latents", width, 0,
            partial(by_pursuit, rows, directions, parts),
        )  # fmt: skip
    if config.elsewhere:
        other = started_elsewhere(material.sae, config.elsewhere)
        yield (
            f"pursuit over {other.width:,} latents started elsewhere", other.width, 0,
            partial(by_pursuit, normalize(other.W_dec), directions, parts),
        )  # fmt: skip
    random = gaussian_like(material.decomposition.meta.W_dec, config.seed)
    yield (
        "pursuit over random rows", len(random), 0,
        partial(by_pursuit, random, directions, parts),
    )  # fmt: skip


def started_elsewhere(sae: SparseAutoencoder, folder: str) -> SparseAutoencoder:
    """Another SAE of the same hook.

    Raises:
        UserError: when the folder holds none, or one of another width of the residual stream.
    """
    other = formats.load(expanded(folder))
    if other.d_in != sae.d_in:
        raise UserError(
            f"The SAE in {folder} has directions of width {other.d_in}, the open one of "
            f"{sae.d_in}; give one of the same hook."
        )
    return other


def _left_of(nearest: Callable[[], tuple[SparseAutoencoder, Rebuilt]]) -> Rebuilt:
    return nearest()[1]


def _left_trained(
    nearest: Callable[[], tuple[SparseAutoencoder, Rebuilt]],
    train: Callable[[SparseAutoencoder], SparseAutoencoder],
    directions: Float[Tensor, "F D"],
) -> Rebuilt:
    return by_sae(train(nearest()[0]), directions)


def _part(name: str, number: int) -> str:
    """What a way's row is kept as among the run's parts."""
    return f"{name}, meta-SAE {number}"


def whole(l0: float) -> int:
    """A number of parts that is at least a mean one."""
    return max(1, math.ceil(l0 - 0.01))


def _widths(material: Material, config: Configuration) -> list[int]:
    most = config.smallest * material.sae.width
    return [width for width in material.smaller_widths if width <= most]


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module."""
    directions = material.sae.W_dec
    total = directions.square().sum(1)
    centred = (directions - directions.mean(0)).square().sum()

    def row(name: str, among: int, number: int, tried: Callable[[], Rebuilt]) -> pd.DataFrame:
        made = tried()
        values = {
            "way": name, "parts_of": among, "seed": number, "l0": made.l0,
            **explained(made.left, total, config.seed),
            "fve_centred": float(1 - made.left.sum() / centred),
            "latents": len(directions),
        }  # fmt: skip
        return pd.DataFrame([values])

    kept, every = [], list(ways(material, config, progress))
    for done, way in enumerate(every):
        part = _part(way[0], way[2])
        progress("Rebuilding", done / len(every), part)
        kept.append(material.parts.table(part, partial(row, *way)))
    own = by_sae(material.decomposition.meta, directions).l0
    pca = principal_components(TensorRows(directions), whole(own))
    rest = pd.DataFrame(
        [{
            "way": "principal components", "parts_of": directions.shape[1], "seed": 0,
            "l0": pca["l0"], "fve": pca["fve"], "low": np.nan, "high": np.nan,
            "fve_centred": np.nan, "latents": len(directions),
        }]
    )  # fmt: skip
    progress("Rebuilding", 1.0, "")
    table = pd.concat([*kept, rest], ignore_index=True)
    left_out = []
    if not _widths(material, config):
        left_out.append("The preset has no smaller SAE of this share, so none was compared.")
    if not config.elsewhere:
        left_out.append(
            "No SAE that was started elsewhere was compared; train one (`train-sae --seed 1`) and "
            "give its folder as the setting elsewhere."
        )
    figures: dict[str, Any] = {"rows": table.to_dict("records"), "encoder_steps": config.steps}
    return Finding(
        verdict=_verdict(table),
        figures=figures,
        tables={"rows": table},
        charts={"rebuilt": _picture(table)},
        left_out=tuple(left_out),
    )


def explained(left: Float[Tensor, " F"], total: Float[Tensor, " F"], seed: int) -> dict[str, float]:
    """Fraction of variance explained, uncentred, and its bootstrap interval over directions."""
    lost = ratio_with_interval(left.double().numpy(), total.double().numpy(), seed)
    return {"fve": 1 - lost["value"], "low": 1 - lost["high"], "high": 1 - lost["low"]}


def _verdict(table: pd.DataFrame) -> str:
    ordered = table[table["seed"] == 0].sort_values("fve", ascending=False, kind="stable")
    best: list[Any] = ordered.to_dict("records")

    def of(start: str) -> Any:
        return next((row for row in best if row["way"].startswith(start)), None)

    own, nearest, pursued, random = map(
        of, ("meta-SAE", "nearest of", "pursuit over meta", "pursuit over random")
    )
    text = f"The meta-SAE explains {own['fve']:.1%} at an L0 of {own['l0']:.1f}"
    if nearest is not None:
        text += f", the {nearest['way']} at most {nearest['fve']:.1%}"
    return (
        f"{text}; matching pursuit with at most {pursued['l0']:.0f} meta-latents "
        f"{pursued['fve']:.1%}, and with random rows {random['fve']:.1%}."
    )


def _picture(table: pd.DataFrame) -> Any:
    """A bar a way, with its interval."""
    import altair as alt

    base = alt.Chart(table[table["seed"] == 0]).encode(
        alt.Y("way:N", sort=None, title=None, axis=alt.Axis(labelLimit=280))
    )
    bars = base.mark_bar().encode(
        alt.X("fve:Q", title="variance of the decoder explained", axis=alt.Axis(format="%")),
        tooltip=["way", alt.Tooltip("fve:Q", format=".1%"), alt.Tooltip("l0:Q", format=".2f")],
    )
    ranges = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"))
    return (bars + ranges).properties(width=420, height=alt.Step(30))


STUDY = Study(
    name="rebuild",
    title="What the decoder is rebuilt from",
    question="Do meta-latents rebuild the decoder better than latents of smaller SAEs do?",
    published="On GPT-2 2,304 meta-latents explain 55.47 % of 49,152 directions; the nearest "
    "latents of smaller SAEs only slightly less.",
    configuration=Configuration,
    run=run,
    words={
        "rows": "ways to rebuild the decoder",
        "way": "rebuilt from",
        "parts_of": "parts to choose from",
        "latents": "directions",
        "encoder_steps": "steps the encoders were trained for",
    },
)
