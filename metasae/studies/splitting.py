"""Feature splitting: a latent of a smaller SAE that becomes several in a larger one.

A latent of one width is the parent of those of the next width whose directions have a cosine above
a threshold with its own; one of several children is split. As in the post, one meta-SAE is trained
on the directions of all widths. If a child is its parent and something besides, it has its
parent's meta-latents, and those it adds explain the rest of it; how that is measured, and beside
which controls, is in `split_children`.

Tables: ``children`` (width, parent, child_width, child, cosine, shared, added, then every measure,
and with _random and _other after its name its controls): shared are the meta-latents a child has
from its parent, by number; ``families`` (width, parent, child_width, children, kept, whole,
explained, rank_by_kept): means over their children, the largest families first; ``by_width`` and
``by_parent`` (parents' width, or their number of meta-latents; families, children, cosine, every
measure); ``lineages`` (see `split_flow.lineages`); ``counts`` (width, meta_latents, latents): how
many latents of a width have how many meta-latents; ``shares`` (meta, width, share): of a
meta-latent's activation, the share on latents of a width, each width counted as one.

Shapes: F latents, N children.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from metasae.errors import UserError
from metasae.progress import Progress
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.saes.neighbours import VERY_SIMILAR
from metasae.studies import split_flow, split_pictures
from metasae.studies.split_children import KINDS, MEASURES, children, with_controls
from metasae.studies.study import Finding, Material, Study, check_threshold, mean_with_interval

PAIR = ["width", "parent", "child_width", "child", "cosine"]
"""Columns that tell a parent and its child."""


@dataclass(frozen=True)
class Configuration:
    """What counts as a split.

    Attributes:
        threshold: cosine above which a latent of the next width is a child (the post's 0.7).
        fewest: children from which on a family is a split.
        drawn: lineages in the picture, those of most latents.
        seed: of the random directions and the intervals.

    Raises:
        UserError: for a threshold that is no cosine above 0, fewer than two children, or fewer than
            one lineage.
    """

    threshold: float = VERY_SIMILAR
    fewest: int = 2
    drawn: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if self.fewest < 2:
            raise UserError("A family has at least two children; give 2 or more.")
        if self.drawn < 1:
            raise UserError("There is nothing to draw; give at least one lineage.")


def run(material: Material, config: Configuration, progress: Progress) -> Finding:
    """See the module.

    Raises:
        UserError: when there is no smaller SAE, or no latent is split at this threshold.
    """
    saes = material.widths
    close = all_children(saes, config.threshold)
    size = close.groupby(["width", "parent"])["child"].transform("size")
    split = close[size >= config.fewest].reset_index(drop=True)
    if not len(split):
        raise UserError(
            f"No latent has {config.fewest} children of a cosine above {config.threshold:g} in the "
            "next width; choose a lower threshold."
        )
    metas, tables = material.metas_of_all_widths(progress), []
    for number, meta in enumerate(metas):
        progress("Families", number / len(metas), f"seed {number}")
        tables.append(_measured(saes, split, meta, config.seed))
    taken = {sae.width: Decomposition(sae, metas[0]) for sae in saes}
    table = _with_pieces(tables[0], taken)
    found = summary(table, config.seed)
    ranked, lines = families(table), split_flow.lineages(close)
    counts, shares = counts_by_width(saes, taken), shares_by_width(saes, taken)
    progress("Families", 1.0, "")
    figures: dict[str, Any] = {
        "threshold": config.threshold, "families": len(ranked), "children": len(table), **found,
        "added": float(table["added"].str.len().mean()),
        "seeds": [
            {f"{name}{kind}": _mean(one, name, kind) for name in MEASURES for kind in KINDS}
            for one in tables
        ],
        "meta_latents_a_latent": {
            str(width): float(np.average(some["meta_latents"], weights=some["latents"]))
            for width, some in counts.groupby("width")
        },
    }  # fmt: skip
    of_parent = [
        len(taken[width].pieces(parent))
        for width, parent in zip(table["width"], table["parent"], strict=True)
    ]
    return Finding(
        verdict=_verdict(figures),
        figures=figures,
        tables={
            "children": table, "families": ranked, "by_width": grouped(table, "width"),
            "by_parent": grouped(table.assign(meta_latents=of_parent), "meta_latents"),
            "lineages": lines, "counts": counts, "shares": shares,
        },
        charts={
            "kept and explained": split_pictures.measures(found),
            "meta-latents by width": split_pictures.counts(counts),
            "widths by meta-latent": split_pictures.shares(shares),
            "largest lineages": _flow(lines, taken, config.drawn),
        },
    )  # fmt: skip


def all_children(saes: Sequence[SparseAutoencoder], threshold: float) -> pd.DataFrame:
    """Columns `PAIR`: all parents and children of neighbouring widths."""
    parts = []
    for narrow, wide in pairwise(saes):
        some = children(narrow.W_dec, wide.W_dec, threshold)
        parts.append(some.assign(width=narrow.width, child_width=wide.width))
    made = pd.concat(parts, ignore_index=True)
    return made[PAIR]


def _measured(
    saes: Sequence[SparseAutoencoder], split: pd.DataFrame, meta: SparseAutoencoder, seed: int
) -> pd.DataFrame:
    """The measures of the split latents' children beside them."""
    unit = {sae.width: normalize(sae.W_dec) for sae in saes}
    parts = [
        with_controls(meta, unit[width], unit[child_width], some.reset_index(drop=True), seed)
        for width, child_width in pairwise(unit)
        if len(some := split[split["width"] == width])
    ]
    return pd.concat([split, pd.concat(parts, ignore_index=True)], axis=1)


def _with_pieces(table: pd.DataFrame, taken: Mapping[int, Decomposition]) -> pd.DataFrame:
    """The same with the meta-latents that children share with their parents, and those they add."""
    shared, added = [], []
    columns = (table[name] for name in ("width", "parent", "child_width", "child"))
    for width, parent, child_width, child in zip(*columns, strict=True):
        of_parent = set(taken[width].pieces(parent))
        of_child = set(taken[child_width].pieces(child))
        shared.append(sorted(of_parent & of_child))
        added.append(sorted(of_child - of_parent))
    pieces = pd.DataFrame({"shared": shared, "added": added})
    return pd.concat([table[PAIR], pieces, table.drop(columns=PAIR)], axis=1)


def _weights(table: pd.DataFrame, measure: str) -> np.ndarray:
    """How much each child counts: what is explained of a remainder, by its squared length."""
    cosine = table["cosine"].to_numpy(np.float64)
    return 1 - cosine**2 if measure == "explained" else np.ones(len(table))


def _mean(table: pd.DataFrame, measure: str, kind: str) -> float | None:
    """A measure over the children it is known of; None where there are none."""
    some = table[table[measure + kind].notna()]
    if not len(some):
        return None
    return float(np.average(some[measure + kind], weights=_weights(some, measure)))


def summary(table: pd.DataFrame, seed: int) -> dict[str, dict[str, Any]]:
    """Every measure and its controls with their intervals, and how much more the children have.

    Siblings have one parent's meta-latents in common, so families are drawn again, not children. A
    control that isn't known is None.

    Args:
        table: measures by child, see the module.
    """
    made: dict[str, dict[str, Any]] = {}
    for measure in MEASURES:
        made[measure] = {}
        for kind in KINDS:
            for name, values in (
                (KINDS[kind], table[measure + kind]),
                (f"more than {KINDS[kind]}", table[measure] - table[measure + kind]),
            )[: 2 if kind else 1]:
                known = table[values.notna()]
                groups = known.groupby(["width", "parent"], sort=False).ngroup().to_numpy()
                made[measure][name] = mean_with_interval(
                    values[values.notna()].to_numpy(np.float64), seed, groups,
                    _weights(known, measure),
                ) if len(known) else None  # fmt: skip
    return made


def grouped(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Families, children, their mean cosine and every measure, by a column."""
    rows = []
    for value, some in table.groupby(column):
        rows.append(
            {
                column: value, "families": some.groupby(["width", "parent"]).ngroups,
                "children": len(some), "cosine": float(some["cosine"].mean()),
                **{name + kind: _mean(some, name, kind) for name in MEASURES for kind in KINDS},
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def families(table: pd.DataFrame) -> pd.DataFrame:
    """The families, see the module."""
    by_family = table.groupby(["width", "parent", "child_width"], as_index=False, sort=False)
    made = by_family.agg(
        children=("child", "size"), kept=("kept", "mean"), whole=("whole", "mean"),
        explained=("explained", "mean"),
    )  # fmt: skip
    made["rank_by_kept"] = made["kept"].rank(ascending=False, method="min").astype("Int64")
    return made.sort_values(["children", "kept"], ascending=False, kind="stable", ignore_index=True)


def counts_by_width(
    saes: Sequence[SparseAutoencoder], taken: Mapping[int, Decomposition]
) -> pd.DataFrame:
    """How many latents of each width have how many meta-latents."""
    parts = []
    for sae in saes:
        counts = np.bincount(taken[sae.width].activations.crow_indices().diff().numpy())
        parts.append(
            pd.DataFrame(
                {"width": sae.width, "meta_latents": np.arange(len(counts)), "latents": counts}
            )
        )
    return pd.concat(parts, ignore_index=True)


def shares_by_width(
    saes: Sequence[SparseAutoencoder], taken: Mapping[int, Decomposition]
) -> pd.DataFrame:
    """Of every meta-latent's activation a latent, the share that each width has."""
    means = []
    for sae in saes:
        acts = taken[sae.width].activations
        total = torch.zeros(acts.shape[1]).index_add_(0, acts.col_indices(), acts.values())
        means.append(total / sae.width)
    table = torch.stack(means, dim=1)
    table = table / table.sum(1, keepdim=True)
    alive = table.isfinite().all(1).nonzero()[:, 0]
    return pd.DataFrame(
        {
            "meta": alive.repeat_interleave(len(saes)).numpy(),
            "width": np.tile([sae.width for sae in saes], len(alive)),
            "share": table[alive].flatten().numpy(),
        }
    )


def _verdict(figures: dict[str, Any]) -> str:
    own, random, other = KINDS.values()
    explained, whole = figures["explained"], figures["whole"]

    def said(one: dict[str, Any] | None) -> str:
        return "unknown" if one is None else f"{one['value']:.0%}"

    text = "nothing" if explained[own] is None else (
        f"{explained[own]['value']:.0%} ({explained[own]['low']:.0%} to "
        f"{explained[own]['high']:.0%})"
    )  # fmt: skip
    return (
        f"The meta-latents that a child adds explain {text} of what tells it from its parent; with "
        f"{random} of the same length {said(explained[random])}, with {other} "
        f"{said(explained[other])}. All of their parent's meta-latents are in "
        f"{said(whole[own])} of {figures['children']:,} children, in {said(whole[random])} of "
        f"those with {random} and in {said(whole[other])} of those with {other}."
    )


def _flow(lines: pd.DataFrame, taken: Mapping[int, Decomposition], count: int) -> Any:
    """The lineages of most latents."""
    roots = lines[["root_width", "root"]].drop_duplicates().head(count)
    some = lines.merge(roots, on=["root_width", "root"])
    pieces = {
        (width, latent): list(taken[width].pieces(latent))
        for width, latent in zip(some["width"], some["latent"], strict=True)
    }
    return split_flow.picture(some, pieces)


STUDY = Study(
    name="splitting",
    title="Feature splitting",
    question="Does a latent that splits hand its meta-latents to its children?",
    published="On GPT-2 latent 8326 (“talk”) splits into seven that share its one meta-latent.",
    configuration=Configuration,
    run=run,
    words={
        "control": "a random remainder",
        "threshold": "cosine above which a latent is a child",
        "families": "latents that split",
        "added": "meta-latents a child adds",
        "kept": "parent's activation kept %",
        "whole": "has all the parent's meta-latents %",
        "explained": "remainder explained by added ones %",
        "seeds": "each start of the meta-SAE",
        "kept_other": "parent's activation kept, another family's remainder %",
        "whole_other": "has all the parent's, another family's remainder %",
        "explained_other": "remainder explained, another family's %",
        "meta_latents_a_latent": "meta-latents a latent, SAE of",
    },
)
