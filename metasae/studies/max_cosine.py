"""How close meta-latents and latents of smaller SAEs are: distributions of the largest cosine.

Each direction of one set is matched with the closest of another. The post takes a cosine above 0.7
for "very similar". As a control the same is asked of random directions of the same number.

Tables: ``shares`` (from, to, seed, directions, share, low, high, median, random_share), one row a
pair and meta-SAE; ``histograms`` (from, to, seed, cosine, directions), cosine the left edge of a
bin of `BIN`. ``seed`` counts the meta-SAEs, 0 the open one; pairs without a meta-SAE have 0 alone.
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
from metasae.studies.study import (
    Finding,
    Material,
    Study,
    check_smaller_share,
    check_threshold,
    share_with_interval,
)
from metasae.training.controls import gaussian_like

BIN = 0.02
"""Width of a histogram's bin."""

SAE, META, SMALLER = "latents", "meta-latents", "smaller SAE"


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        threshold: cosine from which on two directions count as very similar.
        smaller_share: width of the smaller SAE, as a share of the open one's; the closest there is
            is taken (the post's: 3,072 of 49,152).
        seed: of the random directions and the intervals.

    Raises:
        UserError: for a threshold that is no cosine above 0, or a share that is not below 1.
    """

    threshold: float = VERY_SIMILAR
    smaller_share: float = 1 / 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        check_smaller_share(self.smaller_share)


def largest_cosines(
    directions: Float[Tensor, "N D"], others: Float[Tensor, "M D"] | None
) -> Float[Tensor, " N"]:
    """The cosine of each direction to the closest of some others; None: of the rest of its own."""
    if others is None:
        return top_cosines(directions, directions, 1, torch.arange(len(directions)))[0][:, 0]
    return top_cosines(others, directions, 1)[0][:, 0]


Pair = tuple[str, str, int, Tensor, Tensor | None]
"""From, to, which meta-SAE, the directions, those they are matched with (None: themselves)."""


def pairs(material: Material, smaller: Float[Tensor, "M D"] | None) -> Iterator[Pair]:
    """The post's pairs, each with every meta-SAE it has one of."""
    latents = material.sae.W_dec
    yield SAE, SAE, 0, latents, None
    for number, one in enumerate(material.decompositions):
        metas = one.meta.W_dec
        yield SAE, META, number, latents, metas
        yield META, SAE, number, metas, latents
        yield META, META, number, metas, None
        if smaller is not None:
            yield META, SMALLER, number, metas, smaller
    if smaller is not None:
        yield SMALLER, SAE, 0, smaller, latents


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module."""
    left_out: tuple[str, ...] = ()
    smaller, width = None, 0
    try:
        width = material.nearest_width(config.smaller_share)
        smaller = material.smaller(width).W_dec
    except UserError as error:
        left_out = (f"The meta-latents were not compared with a smaller SAE. {error}",)
    rows, bins = [], []
    every = list(pairs(material, smaller))
    for done, (of, to, number, directions, others) in enumerate(every):
        progress("Cosines", done / len(every), f"{of} to {to}")
        cosine = largest_cosines(directions, others).numpy()
        against = gaussian_like(directions if others is None else others, config.seed)
        chance = largest_cosines(directions, against).numpy()
        share = share_with_interval(cosine > config.threshold, config.seed)
        rows.append(
            {
                "from": of, "to": to, "seed": number, "directions": len(cosine),
                "share": share["value"], "low": share["low"], "high": share["high"],
                "median": float(np.median(cosine)),
                "random_share": float((chance > config.threshold).mean()),
                "random_median": float(np.median(chance)),
            }
        )  # fmt: skip
        bins.append(_histogram(of, to, number, cosine))
    progress("Cosines", 1.0, "")
    shares, histograms = pd.DataFrame(rows), pd.concat(bins, ignore_index=True)
    figures: dict[str, Any] = {
        "threshold": config.threshold,
        "smaller_width": width or None,
        "pairs": shares.to_dict("records"),
    }
    return Finding(
        verdict=_verdict(shares, config.threshold, width),
        figures=figures,
        tables={"shares": shares, "histograms": histograms},
        charts={"largest cosines": _picture(histograms[histograms["seed"] == 0], config.threshold)},
        left_out=left_out,
    )


def _histogram(of: str, to: str, number: int, cosine: np.ndarray) -> pd.DataFrame:
    edges = np.arange(round(-1 / BIN), round(1 / BIN) + 1) * BIN
    counts, _ = np.histogram(np.clip(cosine, -1, 1 - 1e-9), edges)
    some = counts > 0
    return pd.DataFrame(
        {
            "from": of, "to": to, "seed": number,
            "cosine": edges[:-1][some].round(4), "directions": counts[some],
        }
    )  # fmt: skip


def _verdict(shares: pd.DataFrame, threshold: float, width: int) -> str:
    def of(one: str, other: str) -> str:
        rows = shares[(shares["from"] == one) & (shares["to"] == other)]["share"]
        low, high = rows.min(), rows.max()
        return f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"

    text = (
        f"{of(META, SAE)} of the meta-latents have a latent of a cosine above {threshold:g}, and "
        f"{of(SAE, META)} of the latents a meta-latent"
    )
    if width:
        text += f"; {of(META, SMALLER)} of the meta-latents have such a latent among {width:,}"
    chance = shares["random_share"].max()
    close = f"at most {chance:.1%} are" if chance else "none is"
    return f"{text}. Of random directions {close} so close."


def _picture(histograms: pd.DataFrame, threshold: float) -> Any:
    """A small histogram a pair, with the threshold as a line."""
    import altair as alt

    table = histograms.assign(
        pair=histograms["from"] + " → " + histograms["to"], end=histograms["cosine"] + BIN
    )
    # Meta-latents first: the question is how close they are.
    table = table.sort_values("from", key=lambda kinds: kinds != META, kind="stable")
    bars = (
        alt.Chart()
        .mark_bar()
        .encode(
            alt.X(
                "cosine:Q",
                bin="binned",
                title="largest cosine",
                scale=alt.Scale(domain=[-0.2, 1]),
            ),
            alt.X2("end:Q"),
            alt.Y("directions:Q", title="directions"),
            tooltip=["pair", "cosine", "directions"],
        )
    )
    line = alt.Chart().mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(threshold))
    return (
        alt.layer(bars, line, data=table)
        .properties(width=220, height=120)
        .facet(alt.Facet("pair:N", title=None), columns=3)
        .resolve_scale(y="independent")
    )


STUDY = Study(
    name="max-cosine",
    title="Largest cosines",
    question="How close are meta-latents to the latents of the SAE and of a smaller SAE?",
    published="The post draws the distributions for GPT-2 and takes 0.7 for “very similar”.",
    configuration=Configuration,
    run=run,
    words={
        "control": "random directions",
        "pairs": "how close the directions of one kind are to those of another",
        "threshold": "cosine above which directions count as close",
        "share": "share close %",
        "median": "median cosine",
    },
)
