"""Do latents that share meta-latents fire together more than equally close ones that don't?

φ is the correlation of two latents' firing over tokens: of n tokens, a and b on which each fires
and c on which both do, (n·c − a·b) / √(a(n − a)·b(n − b)). A meta-latent may stand for what
directions have in common, or merely for latents that fire on the same tokens; if the latter, pairs
that share one should have a larger φ than pairs of the same cosine that share none.

Tables: ``pairs`` (latent, sharing, other, cosine, other_cosine, phi, other_phi): a latent, one it
shares a meta-latent with, and one of nearly the same cosine that it shares none with; ``latents``
(latent, density, explained): share of the tokens it fires on, and of its squared length that its
meta-latents explain.

Shapes: N tokens, F latents, P pairs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.decomposition import Decomposition
from metasae.studies.graphs import members_by_meta
from metasae.studies.study import Finding, Material, Study, mean_with_interval

_CHUNK = 512
"""Latents whose cosines to all others are held at once."""


@dataclass(frozen=True)
class Configuration:
    """How it is asked.

    Attributes:
        tokens: of text that are read.
        pairs: of latents that share a meta-latent, drawn by seed.
        tolerance: most by which the cosine of the compared pair may differ.
        least: tokens a latent must fire on to take part: φ of rarer ones says nothing.
        seed: of the draws.

    Raises:
        UserError: for fewer than one token or pair, or a tolerance that is not positive.
    """

    tokens: int = 300_000
    pairs: int = 4000
    tolerance: float = 0.01
    least: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.tokens, self.pairs, self.least) < 1:
            raise UserError("Give at least one token, one pair and one firing.")
        if not self.tolerance > 0:
            raise UserError(f"The tolerance is {self.tolerance}; give a cosine above 0.")


def phi(firing: sp.csr_array, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """φ of pairs of latents, (P,); NaN where one fires on no token or on all.

    Args:
        firing: ones, (N, F).
        one, other: the pairs' latents, (P,).
    """
    tokens = firing.shape[0]
    by_latent = sp.csc_array(firing)
    often = np.diff(by_latent.indptr).astype(np.float64)
    both = np.asarray(by_latent[:, one].multiply(by_latent[:, other]).sum(0)).ravel()
    a, b = often[one], often[other]
    with np.errstate(divide="ignore", invalid="ignore"):
        made: np.ndarray = (tokens * both - a * b) / np.sqrt(a * (tokens - a) * b * (tokens - b))
    return np.where(np.isfinite(made), made, np.nan)


def mean_absolute_phi(firing: sp.csr_array) -> float:
    """Mean |φ| over all pairs of latents that fire on some tokens and not on all.

    Most pairs never fire together, and their |φ| is a product of one number for each latent,
    √(a / (n − a)); so only those that do are looked at one by one.
    """
    tokens = firing.shape[0]
    often = np.asarray(firing.sum(0)).ravel().astype(np.float64)
    alive = np.flatnonzero((often > 0) & (often < tokens))
    if len(alive) < 2:
        return float("nan")
    some, a = sp.csr_array(firing[:, alive]).astype(np.float64), often[alive]
    weight = np.sqrt(a / (tokens - a))
    apart = (weight.sum() ** 2 - (weight**2).sum()) / 2
    by_latent, total = sp.csr_array(some.T), apart
    for begin in range(0, len(alive), _CHUNK):
        part = sp.coo_array(by_latent[begin : begin + _CHUNK] @ some)
        above = part.col > part.row + begin
        row, column, both = part.row[above] + begin, part.col[above], part.data[above]
        spread = np.sqrt(a[row] * (tokens - a[row]) * a[column] * (tokens - a[column]))
        found = np.abs(tokens * both - a[row] * a[column]) / spread
        total += float((found - weight[row] * weight[column]).sum())
    return float(total / (len(alive) * (len(alive) - 1) / 2))


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


def explained(decomposition: Decomposition) -> np.ndarray:
    """Share of every latent's squared direction length that its meta-latents explain, (F,)."""
    directions, meta = decomposition.sae.W_dec, decomposition.meta
    rebuilt = decomposition.activations @ meta.W_dec + meta.b_dec
    left = (directions - rebuilt).square().sum(1) / directions.square().sum(1)
    made: np.ndarray = (1 - left).numpy()
    return made


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when there is no text, or no pair to compare.
    """
    firing = material.fires(config.tokens, progress)
    often = np.asarray(firing.sum(0)).ravel()
    able = np.flatnonzero(often >= config.least)
    members = members_by_meta(material.decomposition)
    progress("Pairs", 0.0, f"{len(able):,} latents fire often enough")
    pairs = matched_pairs(
        material.sae.W_dec, members, able, config.pairs, config.tolerance, config.seed
    )
    if not len(pairs):
        raise UserError(
            "No latent that shares a meta-latent has one of the same cosine that shares none; give "
            "more tokens or a larger tolerance."
        )
    first, second, other = (pairs[name].to_numpy() for name in ("latent", "sharing", "other"))
    pairs = pairs.assign(phi=phi(firing, first, second), other_phi=phi(firing, first, other))
    pairs = pairs.dropna().reset_index(drop=True)
    difference = mean_with_interval((pairs["phi"] - pairs["other_phi"]).to_numpy(), config.seed)
    latents = pd.DataFrame(
        {
            "latent": able,
            "density": often[able] / firing.shape[0],
            "explained": explained(material.decomposition)[able],
        }
    )
    constant = latents["density"].nunique() < 2 or latents["explained"].nunique() < 2
    rank = None if constant else spearmanr(latents["density"], latents["explained"]).statistic
    progress("Pairs", 1.0, "")
    figures: dict[str, Any] = {
        "tokens": firing.shape[0],
        "latents": len(able),
        "mean_absolute_phi": mean_absolute_phi(firing),
        "pairs": len(pairs),
        "phi_sharing": float(pairs["phi"].mean()),
        "phi_same_cosine": float(pairs["other_phi"].mean()),
        "difference": difference,
        "cosine": float(pairs["cosine"].mean()),
        "cosine_same": float(pairs["other_cosine"].mean()),
        "density_explained_spearman": None if rank is None else float(rank),
    }
    return Finding(
        verdict=_verdict(figures),
        figures=figures,
        tables={"pairs": pairs, "latents": latents},
        charts={"pairs": _picture(pairs)},
    )


def _verdict(figures: dict[str, Any]) -> str:
    by = figures["difference"]
    more = by["low"] > 0
    words = "more than" if more else "less than" if by["high"] < 0 else "no more and no less than"
    return (
        f"Latents that share a meta-latent fire together {words} equally close ones that share "
        f"none: φ {figures['phi_sharing']:.4f} against {figures['phi_same_cosine']:.4f}, a "
        f"difference of {by['value']:.4f} ({by['low']:.4f} to {by['high']:.4f})."
    )


def _picture(pairs: pd.DataFrame) -> Any:
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
    long = long.groupby(["pair", "cosine"], as_index=False).agg(phi=("phi", "mean"),
                                                               pairs=("phi", "size"))  # fmt: skip
    return (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            alt.X("cosine:Q", title="cosine of the two directions"),
            alt.Y("phi:Q", title="mean φ of their firing"),
            alt.Color("pair:N", title=None, legend=alt.Legend(orient="top")),
            alt.Shape("pair:N", title=None),
            tooltip=["pair", "cosine", alt.Tooltip("phi:Q", format=".4f"), "pairs"],
        )
        .properties(width=420, height=220)
    )


STUDY = Study(
    name="cooccurrence",
    title="Do they fire together?",
    question="Do latents that share meta-latents fire together more than equally close ones?",
    published="",
    configuration=Configuration,
    run=run,
)
