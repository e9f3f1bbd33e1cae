"""Do latents that share meta-latents fire together more than equally close ones that don't?

A meta-latent may stand for what directions have in common, or merely for latents that fire on the
same tokens; if the latter, pairs that share one should have a larger φ than pairs of the same
cosine that share none. Asked on the text the SAEs were trained on, of which there is most, and on
text that nothing was trained on.

Beside it what else tells how atomic latents are: mean |φ| over all pairs, and the composition rate,
the variance of the directions that the open meta-SAE explains (the study ``saebench`` has that of a
meta-SAE of a quarter of the width, as published ones are), and whether rarer latents are explained
better.

Tables: ``pairs`` (held_out, latent, sharing, other, cosine, other_cosine, phi, other_phi): a
latent, one it shares a meta-latent with, and one of nearly the same cosine that it shares none
with; ``latents`` (latent, density, explained): share of the tokens it fires on, and of its squared
length that its meta-latents explain; ``by_density`` (density, explained, low, high, latents): the
latents in groups of as many each, from the rarest on, with their median density and mean share
explained.

Shapes: N tokens, F latents.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.stats import bootstrap, spearmanr
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.decomposition import Decomposition
from metasae.studies.graphs import members_by_meta
from metasae.studies.phi import by_chance, mean_absolute_phi, phi
from metasae.studies.rebuild import by_sae, explained
from metasae.studies.study import RESAMPLED, Finding, Material, Study, mean_with_interval
from metasae.training.explained import quality

_CHUNK = 512
"""Latents whose cosines to all others are held at once."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        tokens: that are read of each text, as far as there are so many.
        pairs: of latents that share a meta-latent, drawn by seed.
        tolerance: most by which the cosine of the compared pair may differ.
        least: tokens a latent must fire on to take part: φ of rarer ones says nothing.
        groups: of as many latents each, in which density is compared with what is explained.
        seed: of the draws and the intervals.

    Raises:
        UserError: for fewer than one token, pair or group, or a tolerance that is not positive.
    """

    tokens: int = 300_000
    pairs: int = 4000
    tolerance: float = 0.01
    least: int = 10
    groups: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.tokens, self.pairs, self.least, self.groups) < 1:
            raise UserError("Give at least one token, one pair, one firing and one group.")
        if not self.tolerance > 0:
            raise UserError(f"The tolerance is {self.tolerance}; give a cosine above 0.")


def matched_pairs(
    directions: Float[Tensor, "F D"],
    members: sp.csr_array,
    able: np.ndarray,
    count: int,
    tolerance: float,
    seed: int,
) -> pd.DataFrame:
    """Pairs that share a meta-latent, each with a partner of the same cosine that shares none.

    Args:
        members: which latents have which meta-latents, (F, M).
        able: latents that may take part.
        count: most pairs.

    Returns:
        Columns latent, sharing, other, cosine, other_cosine; pairs without a partner within the
        tolerance are left out.
    """
    draw = np.random.default_rng(seed)
    firsts = draw.permutation(able)[:count]
    unit, allowed = normalize(directions), torch.zeros(len(directions), dtype=torch.bool)
    allowed[torch.from_numpy(able)] = True
    rows = []
    for some in np.array_split(firsts, max(1, -(-len(firsts) // _CHUNK))):
        cosines = unit[torch.from_numpy(some)] @ unit.T
        shares = torch.from_numpy((members[some] @ members.T).toarray() > 0)
        for first, cosine, sharing in zip(some.tolist(), cosines, shares, strict=True):
            usable = allowed.clone()
            usable[first] = False
            with_it = (usable & sharing).nonzero()[:, 0]
            without = (usable & ~sharing).nonzero()[:, 0]
            if not len(with_it) or not len(without):
                continue
            second = int(with_it[int(draw.integers(len(with_it)))])
            nearest = int(without[(cosine[without] - cosine[second]).abs().argmin()])
            if abs(float(cosine[nearest] - cosine[second])) <= tolerance:
                rows.append((first, second, nearest, float(cosine[second]), float(cosine[nearest])))
    return pd.DataFrame(rows, columns=["latent", "sharing", "other", "cosine", "other_cosine"])


def compared(
    firing: sp.csr_array, decomposition: Decomposition, config: Configuration
) -> tuple[dict[str, Any], pd.DataFrame]:
    """How pairs that share a meta-latent fire on a text, beside their partners: figures, and pairs.

    Args:
        firing: ones, (N, F).

    Raises:
        UserError: when there is no pair to compare.
    """
    able = frequent(firing, config.least)
    pairs = matched_pairs(
        decomposition.sae.W_dec, members_by_meta(decomposition), able, config.pairs,
        config.tolerance, config.seed,
    )  # fmt: skip
    if not len(pairs):
        raise UserError(
            "No latent that shares a meta-latent has one of the same cosine that shares none; give "
            "more tokens or a larger tolerance."
        )
    first, second, other = (pairs[name].to_numpy() for name in ("latent", "sharing", "other"))
    pairs = pairs.assign(phi=phi(firing, first, second), other_phi=phi(firing, first, other))
    pairs = pairs.dropna().reset_index(drop=True)
    figures = {
        "tokens": firing.shape[0],
        "latents": len(able),
        "mean_absolute_phi": mean_absolute_phi(firing),
        "mean_absolute_phi_by_chance": by_chance(firing),
        "pairs": len(pairs),
        "phi_sharing": float(pairs["phi"].mean()),
        "phi_same_cosine": float(pairs["other_phi"].mean()),
        "difference": mean_with_interval(
            (pairs["phi"] - pairs["other_phi"]).to_numpy(), config.seed
        ),
        "cosine": float(pairs["cosine"].mean()),
        "cosine_same": float(pairs["other_cosine"].mean()),
    }
    return figures, pairs


def frequent(firing: sp.csr_array, least: int) -> np.ndarray:
    """Latents that fire on so many tokens or more."""
    return np.flatnonzero(np.asarray(firing.sum(0)).ravel() >= least)


def composition(decomposition: Decomposition, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """What the meta-latents explain of all directions, with its interval, and of each, (F,)."""
    directions, meta = decomposition.sae.W_dec, decomposition.meta
    left, total = by_sae(meta, directions).left, directions.square().sum(1)
    all_of_them = quality(meta, directions)
    figures = {
        **explained(left, total, seed), "fve_centred": all_of_them.fve_centred,
        "l0": all_of_them.l0, "meta_latents": meta.width,
    }  # fmt: skip
    return figures, (1 - left / total).numpy()


def rank_correlation(one: np.ndarray, other: np.ndarray, seed: int) -> dict[str, float] | None:
    """Spearman's rank correlation and its bootstrap interval; None where one is constant."""
    if min(len(np.unique(one)), len(np.unique(other))) < 2:
        return None

    def of(one: np.ndarray, other: np.ndarray) -> float:
        return float(spearmanr(one, other).statistic)

    drawn = bootstrap(
        (one, other), of, paired=True, vectorized=False, method="percentile",
        n_resamples=RESAMPLED, rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = drawn.confidence_interval
    return {"value": of(one, other), "low": float(low), "high": float(high)}


def by_density(latents: pd.DataFrame, groups: int, seed: int) -> pd.DataFrame:
    """Mean share explained by density, see the module.

    Args:
        latents: with columns density, explained.
        groups: most groups; fewer where there are fewer latents.
    """
    ordered = latents.sort_values("density", kind="stable")
    rows = []
    for index in np.array_split(np.arange(len(ordered)), min(groups, len(ordered))):
        some = ordered.iloc[index]
        mean = mean_with_interval(some["explained"].to_numpy(np.float64), seed)
        rows.append(
            {
                "density": float(some["density"].median()), "explained": mean["value"],
                "low": mean["low"], "high": mean["high"], "latents": len(some),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when there is no text, or no pair to compare.
    """
    decomposition = material.decomposition
    firing = material.fires(config.tokens, False, progress)
    figures, pairs = compared(firing, decomposition, config)
    pairs, left_out = pairs.assign(held_out=False), list[str]()
    try:
        unseen = material.fires(config.tokens, True, progress)
        figures["held_out"], others = compared(unseen, decomposition, config)
        pairs = pd.concat([pairs, others.assign(held_out=True)], ignore_index=True)
    except UserError as error:
        left_out.append(f"Not asked on text that nothing was trained on: {error}")
    progress("What is explained", 0.0, "")
    figures["composition"], parts = composition(decomposition, config.seed)
    able = frequent(firing, config.least)
    density = np.asarray(firing.sum(0)).ravel()[able] / firing.shape[0]
    latents = pd.DataFrame({"latent": able, "density": density, "explained": parts[able]})
    figures["density_explained_spearman"] = rank_correlation(density, parts[able], config.seed)
    groups = by_density(latents, config.groups, config.seed)
    progress("What is explained", 1.0, "")
    return Finding(
        verdict=_verdict(figures),
        figures=figures,
        tables={"pairs": pairs, "latents": latents, "by_density": groups},
        charts={
            "pairs": _by_cosine(pairs[~pairs["held_out"]]),
            "explained by density": _by_density(groups),
        },
        left_out=tuple(left_out),
    )


def _verdict(figures: dict[str, Any]) -> str:
    by = figures["difference"]
    words = "neither clearly more nor clearly less than"
    if by["low"] > 0 or by["high"] < 0:
        words = "more than" if by["low"] > 0 else "less than"
    text = (
        f"Latents that share a meta-latent fire together {words} equally close ones that share "
        f"none: φ {figures['phi_sharing']:.4f} against {figures['phi_same_cosine']:.4f}, a "
        f"difference of {by['value']:.4f} ({by['low']:.4f} to {by['high']:.4f})"
    )
    if "held_out" in figures:
        again = figures["held_out"]["difference"]
        text += (
            f"; on {figures['held_out']['tokens']:,} tokens that nothing was trained on "
            f"{again['value']:.4f} ({again['low']:.4f} to {again['high']:.4f})"
        )
    return f"{text}."


def _by_cosine(pairs: pd.DataFrame) -> Any:
    """φ by cosine, of pairs that share a meta-latent and of their partners."""
    import altair as alt

    long = pd.concat(
        [
            pairs[["cosine", "phi"]].assign(pair="share a meta-latent"),
            pairs[["other_cosine", "other_phi"]]
            .set_axis(["cosine", "phi"], axis=1)
            .assign(pair="share none"),
        ]
    )
    long["cosine"] = (long["cosine"] * 20).round() / 20
    long = long.groupby(["pair", "cosine"], as_index=False).agg(
        phi=("phi", "mean"), pairs=("phi", "size"), error=("phi", "sem")
    )
    # Twice the standard error; of one pair there is none.
    long["low"], long["high"] = long["phi"] - 2 * long["error"], long["phi"] + 2 * long["error"]
    base = alt.Chart(long.drop(columns="error")).encode(
        alt.X("cosine:Q", title="cosine of the two directions"),
        alt.Color("pair:N", title=None, legend=alt.Legend(orient="top")),
    )
    lines = base.mark_line(point=True).encode(
        alt.Y("phi:Q", title="mean φ of their firing"),
        tooltip=["pair", "cosine", alt.Tooltip("phi:Q", format=".4f"), "pairs"],
    )
    ranges = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule()
        .encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    )
    return (lines + ranges).properties(width=420, height=220)


def _by_density(groups: pd.DataFrame) -> Any:
    """What is explained of rarer and of commoner latents, with intervals."""
    import altair as alt

    base = alt.Chart(groups).encode(
        alt.X(
            "density:Q",
            title="share of tokens a latent fires on",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(format="~%"),
        )
    )
    scale = alt.Scale(zero=False)
    points = base.mark_line(point=True).encode(
        alt.Y("explained:Q", title="explained by its meta-latents", scale=scale,
              axis=alt.Axis(format="%")),
        tooltip=[alt.Tooltip("density:Q", format=".2e"),
                 alt.Tooltip("explained:Q", format=".1%"), "latents"],
    )  # fmt: skip
    ranges = base.mark_rule(strokeWidth=2).encode(alt.Y("low:Q", scale=scale), alt.Y2("high:Q"))
    return (points + ranges).properties(width=420, height=220)


STUDY = Study(
    name="cooccurrence",
    title="Do they fire together?",
    question="Do latents that share meta-latents fire together more than equally close ones?",
    published="",
    configuration=Configuration,
    run=run,
    words={
        "control": "each latent on tokens of its own",
        "held_out": "text nothing was trained on",
        "latents": "latents that fire often enough",
        "mean_absolute_phi": "mean |φ| of all pairs",
        "pairs": "pairs compared",
        "phi_sharing": "φ of pairs that share a meta-latent",
        "phi_same_cosine": "φ of equally close pairs that share none",
        "difference": "difference of the two",
        "cosine": "mean cosine of pairs that share one",
        "cosine_same": "mean cosine of pairs that share none",
        "composition": "the decoder from its meta-latents",
        "density_explained_spearman": "rank correlation of how often a latent fires with how much "
        "of it is explained",
    },
)
