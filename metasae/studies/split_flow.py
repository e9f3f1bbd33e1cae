"""Lineages of latents: how those of the narrowest SAE become those of the widest, and a picture.

Each latent is put below the closest of its parents, so that a lineage is a tree; a latent that
stays one from a width to the next is part of it too.
"""

from typing import Any

import pandas as pd

Latent = tuple[int, int]
"""Width and number."""

_ROW, _SHORTEST, _TALLEST = 4, 160, 1000
"""Height of the picture: pixels a last latent, least and most."""


def lineages(children: pd.DataFrame) -> pd.DataFrame:
    """Where each latent stands, (width, latent, parent_width, parent, cosine) of some lineage.

    The lineage is told by root_width, root and size, its number of latents. Those of most latents
    come first, each in the order in which it is drawn, parents before children; a root has no
    parent.

    Args:
        children: columns width, parent, child_width, child, cosine.
    """
    closest = children.sort_values("cosine", ascending=False, kind="stable")
    closest = closest.drop_duplicates(["child_width", "child"])
    above: dict[Latent, tuple[Latent, float]] = {}
    below: dict[Latent, list[Latent]] = {}
    for width, parent, child_width, child, cosine in closest[
        ["width", "parent", "child_width", "child", "cosine"]
    ].itertuples(index=False):
        above[child_width, child] = (width, parent), cosine
        below.setdefault((width, parent), []).append((child_width, child))
    trees = [_in_order(latent, below) for latent in below if latent not in above]
    rows = []
    for tree in sorted(trees, key=lambda tree: (-len(tree), tree[0])):
        for latent in tree:
            parent, cosine = above.get(latent, ((None, None), None))
            rows.append((*tree[0], len(tree), *latent, *parent, cosine))
    made = pd.DataFrame(
        rows,
        columns=["root_width", "root", "size", "width", "latent", "parent_width", "parent",
                 "cosine"],
    )  # fmt: skip
    return made.astype({"parent_width": "Int64", "parent": "Int64"})


def _in_order(root: Latent, below: dict[Latent, list[Latent]]) -> list[Latent]:
    """A tree's latents, each followed by what is below it."""
    found, left = list[Latent](), [root]
    while left:
        latent = left.pop()
        found.append(latent)
        left += reversed(below.get(latent, []))
    return found


def heights(lineage: pd.DataFrame) -> pd.Series:
    """Where each latent of some lineages is drawn: the last ones one below the other, from 0.

    A latent with children is at their mean.

    Args:
        lineage: rows of `lineages`, whole trees.
    """
    parents = list(zip(lineage["parent_width"], lineage["parent"], strict=True))
    latents = list(zip(lineage["width"], lineage["latent"], strict=True))
    has_children, place = set(parents), dict[Any, float]()
    for latent in latents:
        if latent not in has_children:
            place[latent] = float(len(place))
    of_children: dict[Any, list[float]] = {}
    for latent, parent in reversed(list(zip(latents, parents, strict=True))):
        if latent in of_children:
            place[latent] = sum(of_children[latent]) / len(of_children[latent])
        of_children.setdefault(parent, []).append(place[latent])
    return pd.Series([place[latent] for latent in latents], index=lineage.index)


def picture(lineage: pd.DataFrame, pieces: dict[Latent, list[int]]) -> Any:
    """Lineages from the smallest width to the largest, lines by what is kept of the parent.

    Args:
        lineage: rows of `lineages`, whole trees.
        pieces: meta-latents of each latent, by number.
    """
    import altair as alt

    latents = list(zip(lineage["width"], lineage["latent"], strict=True))
    place = heights(lineage)
    at = dict(zip(latents, place, strict=True))
    widths = sorted({width for width, _ in latents})
    rows = []
    for latent, parent_width, parent in zip(
        latents, lineage["parent_width"], lineage["parent"], strict=True
    ):
        own = set(pieces[latent])
        root = pd.isna(parent)
        before = own if root else set(pieces[parent_width, parent])
        rows.append(
            {
                "width": f"{latent[0]:,}", "latent": latent[1], "height": at[latent],
                "before": None if root else f"{parent_width:,}",
                "height_before": None if root else at[parent_width, parent],
                "shared": _listed(own & before), "added": _listed(own - before),
                "kept": len(own & before) / len(before) if before else None,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    across = alt.X(
        "width:O", title="width of the SAE", sort=[f"{width:,}" for width in widths],
        axis=alt.Axis(labelAngle=0),
    )  # fmt: skip
    down = alt.Y("height:Q", axis=None, scale=alt.Scale(reverse=True, zero=False, nice=False))
    tooltip = ["width", "latent", "shared", "added", alt.Tooltip("kept:Q", format=".0%")]
    kept = alt.Color(
        "kept:Q", title="parent's meta-latents it has", scale=alt.Scale(domain=[0, 1]),
        legend=alt.Legend(format="%", orient="top", columns=6),
    )  # fmt: skip
    lines = (
        alt.Chart(table[table["before"].notna()])
        .mark_rule()
        .encode(across, down, alt.X2("before:O"), alt.Y2("height_before:Q"), kept, tooltip=tooltip)
    )
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=14)
        .encode(across, down, kept, tooltip=tooltip)
    )
    last = sum(float(one).is_integer() for one in place)
    height = min(_TALLEST, max(_SHORTEST, _ROW * last))
    return (lines + points).properties(width=560, height=height)


def _listed(meta: set[int]) -> str:
    return ", ".join(map(str, sorted(meta))) or "none"
