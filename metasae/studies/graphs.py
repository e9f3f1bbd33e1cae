"""Two graphs over the SAE's latents: which share a meta-latent, and which a smaller SAE's latent.

Graph A joins two latents that share a meta-latent. Graph B joins two that both have a cosine above
a threshold with the same latent of a smaller SAE; the threshold is chosen so that B has as many
edges as A. The post finds 28.92 % of the edges in both. Controls: a random graph with A's degrees
and one with B's, so that the overlap of hubs is not taken for a finding; and meta-SAEs started
elsewhere, whose graphs A are compared with each other.

Nothing of the size latents × latents is held: edges are rows of sparse matrices.

Tables: ``graphs`` (seed, edges_meta, edges_cosine, threshold, shared, share, low, high, jaccard,
random_share, random_jaccard), one row a meta-SAE; ``between_seeds`` (seed, other, share, jaccard).

Shapes: F latents, M meta-latents or latents of the smaller SAE.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.decomposition import Decomposition
from metasae.studies.study import RESAMPLED, Finding, Material, Study, check_smaller_share

_CHUNK = 2048
"""Latents whose cosines are held at once."""

FLOOR = 0.2
"""Cosines below it are never looked at: B would have more edges than any A."""

_STEP = 0.05
"""By which the threshold is lowered until there are edges enough."""

_ROUNDS = 40
"""Halvings of the interval in which the threshold is looked for."""


@dataclass(frozen=True)
class Configuration:
    """How the graphs are made.

    Attributes:
        smaller_share: width of the smaller SAE as a share of the open one's; the closest there is
            is taken (the post's: 3,072 of 49,152).
        commonest: a meta-latent active on more than this share of the latents joins none: each
            would be joined with thousands, and says little (1: all join).
        seed: of the random graphs and the intervals.

    Raises:
        UserError: for shares outside 0 to 1.
    """

    smaller_share: float = 1 / 16
    commonest: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_smaller_share(self.smaller_share)
        if not 0 < self.commonest <= 1:
            raise UserError(f"The commonest share is {self.commonest}; give one from 0 to 1.")


def members_by_meta(decomposition: Decomposition, commonest: float = 1.0) -> sp.csr_array:
    """Which latents have which meta-latents, (F, M), of ones.

    Args:
        commonest: see `Configuration`.
    """
    acts = decomposition.activations
    made = sp.csr_array(
        (
            np.ones(len(acts.values()), np.int32),
            acts.col_indices().numpy(),
            acts.crow_indices().numpy(),
        ),
        shape=tuple(acts.shape),
    )
    often = np.asarray(made.sum(0)).ravel() / made.shape[0]
    return sp.csr_array(
        made @ sp.diags_array((often <= commonest).astype(np.int32), dtype=np.int32)
    )


def similar(
    directions: Float[Tensor, "F D"], others: Float[Tensor, "M D"], floor: float = FLOOR
) -> sp.csr_array:
    """Cosines above a floor, (F, M)."""
    unit, parts = normalize(others), []
    for some in directions.split(_CHUNK):
        cosine = normalize(some) @ unit.T
        parts.append(sp.csr_array(torch.where(cosine > floor, cosine, 0.0).numpy()))
    return sp.csr_array(sp.vstack(parts))


def joined(members: sp.csr_array) -> sp.csr_array:
    """The graph that joins two latents with a common column: its edges i < j, as ones."""
    common = sp.triu(members @ members.T, k=1, format="csr")
    common.eliminate_zeros()
    common.data[:] = 1
    return sp.csr_array(common)


def above(cosines: sp.csr_array, threshold: float) -> sp.csr_array:
    """Which cosines exceed a threshold, as ones."""
    made = sp.csr_array(cosines > threshold)
    made.eliminate_zeros()
    return made.astype(np.int32)


def with_as_many_edges(cosines: sp.csr_array, edges: int) -> tuple[float, sp.csr_array]:
    """The threshold at which latents similar to a common one make so many edges, and the graph.

    The number of edges falls as the threshold rises, in steps; of the thresholds that give at most
    ``edges`` the lowest is taken.

    Raises:
        UserError: when even the lowest threshold gives fewer.
    """
    upper, best = 1.0, sp.csr_array((cosines.shape[0],) * 2, dtype=np.int32)
    while True:  # from above: at the floor most pairs may be joined, more than memory holds
        lower = max(FLOOR, upper - _STEP)
        graph = joined(above(cosines, lower))
        if graph.nnz >= edges:
            break
        if lower == FLOOR:
            raise UserError(
                f"The smaller SAE joins fewer than {edges:,} pairs of latents even at a cosine of "
                f"{FLOOR}; choose a smaller SAE of more latents."
            )
        upper, best = lower, graph
    for _ in range(_ROUNDS):
        middle = (lower + upper) / 2
        graph = joined(above(cosines, middle))
        if graph.nnz > edges:
            lower = middle
        else:
            upper, best = middle, graph
        if graph.nnz == edges or upper - lower < 1e-7:
            break
    return upper, best


def common_edges(one: sp.csr_array, other: sp.csr_array) -> sp.csr_array:
    """The edges of both graphs."""
    return sp.csr_array(one.multiply(other))


def with_same_degrees(graph: sp.csr_array, draw: np.random.Generator) -> sp.csr_array:
    """A random graph with about the same degrees: ends of edges are joined anew at random.

    Loops and repeated edges are dropped (the configuration model, erased), so hubs lose a few.
    """
    edges = graph.tocoo()
    ends = np.concatenate([edges.row, edges.col])
    draw.shuffle(ends)
    one, other = np.split(ends, 2)
    low, high = np.minimum(one, other), np.maximum(one, other)
    made = sp.coo_array((np.ones(len(low), np.int32), (low, high)), shape=graph.shape).tocsr()
    made.setdiag(0)
    made.eliminate_zeros()
    made.data[:] = 1
    return sp.csr_array(made)


def overlap(one: sp.csr_array, other: sp.csr_array) -> tuple[int, float, float]:
    """Edges of both, as a number, as a share of the first graph's, and as Jaccard's index."""
    both = common_edges(one, other).nnz
    union = one.nnz + other.nnz - both
    return both, both / one.nnz if one.nnz else 0.0, both / union if union else 0.0


def share_range(one: sp.csr_array, other: sp.csr_array, seed: int) -> tuple[float, float]:
    """The middle 95 % of the share of shared edges when latents are drawn again.

    An edge counts as often as its two ends were drawn, multiplied.
    """
    both, count = common_edges(one, other), one.shape[0]
    draw, shares = np.random.default_rng(seed), []
    for _ in range(RESAMPLED):
        drawn = draw.integers(0, count, count)
        times = np.bincount(drawn, minlength=count).astype(np.float64)
        shares.append(float(times @ (both @ times)) / max(1.0, float(times @ (one @ times))))
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when the preset has no smaller SAE, or no two latents share a meta-latent.
    """
    width = material.nearest_width(config.smaller_share)
    progress("Graphs", 0.0, f"cosines to the {width:,} latents")
    cosines = similar(material.sae.W_dec, material.smaller(width).W_dec)
    rows, graphs = [], []
    for number, one in enumerate(material.decompositions):
        progress("Graphs", (1 + number) / (1 + len(material.decompositions)), f"seed {number}")
        by_meta = joined(members_by_meta(one, config.commonest))
        if not by_meta.nnz:
            raise UserError("No two latents share a meta-latent, so there is no graph to compare.")
        threshold, by_cosine = with_as_many_edges(cosines, by_meta.nnz)
        shared, share, jaccard = overlap(by_meta, by_cosine)
        draw = np.random.default_rng([config.seed, number])
        chance = overlap(with_same_degrees(by_meta, draw), with_same_degrees(by_cosine, draw))
        low, high = share_range(by_meta, by_cosine, config.seed)
        rows.append(
            {
                "seed": number, "edges_meta": by_meta.nnz, "edges_cosine": by_cosine.nnz,
                "threshold": threshold, "shared": shared, "share": share, "low": low,
                "high": high, "jaccard": jaccard, "random_share": chance[1],
                "random_jaccard": chance[2],
            }
        )  # fmt: skip
        graphs.append(by_meta)
    between = pd.DataFrame(
        [
            (one, other, *overlap(graphs[one], graphs[other])[1:])
            for one, other in combinations(range(len(graphs)), 2)
        ],
        columns=["seed", "other", "share", "jaccard"],
    )
    progress("Graphs", 1.0, "")
    table = pd.DataFrame(rows)
    figures: dict[str, Any] = {
        "smaller_width": width,
        "commonest": config.commonest,
        "graphs": table.to_dict("records"),
        "between_seeds": between.to_dict("records"),
    }
    first = rows[0]
    verdict = (
        f"{first['share']:.1%} ({first['low']:.1%} to {first['high']:.1%}) of the pairs that share "
        f"a meta-latent are joined by a latent of the {width:,}-wide SAE as well; in random graphs "
        f"of the same degrees {first['random_share']:.1%}."
    )
    return Finding(
        verdict=verdict,
        figures=figures,
        tables={"graphs": table, "between_seeds": between},
        charts={"shared edges": _picture(table, between)},
    )


def _picture(table: pd.DataFrame, between: pd.DataFrame) -> Any:
    """Bars of the shares: found, by chance, and between meta-SAEs."""
    import altair as alt

    bars = [
        ("meta-latents and the smaller SAE", table["share"].mean()),
        ("random graphs of the same degrees", table["random_share"].mean()),
    ]
    if len(between):
        bars.append(("two meta-SAEs started elsewhere", between["share"].mean()))
    return (
        alt.Chart(pd.DataFrame(bars, columns=["what", "share"]))
        .mark_bar()
        .encode(
            alt.X("share:Q", title="share of edges in both", axis=alt.Axis(format="%")),
            alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)),
            tooltip=["what", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=420, height=90)
    )


STUDY = Study(
    name="graphs",
    title="Two graphs",
    question="Do meta-latents join the same latents as a smaller SAE's latents do?",
    published="On GPT-2 28.92 % of the edges are shared.",
    configuration=Configuration,
    run=run,
    words={
        "control": "random graphs of the same degrees",
        "graphs": "a meta-SAE a row",
        "between_seeds": "meta-SAEs started elsewhere, with each other",
        "other": "other start",
        "commonest": "meta-latents in more of the latents than this join none %",
        "edges_meta": "pairs that share a meta-latent",
        "edges_cosine": "pairs joined by the smaller SAE",
        "threshold": "cosine above which the smaller SAE joins",
        "shared": "pairs joined by both",
        "share": "of the pairs that share a meta-latent, joined by both %",
        "jaccard": "joined by both, of those joined by either %",
    },
)
