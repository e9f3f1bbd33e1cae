"""The picture of a graph of latents and meta-latents, as a chart."""

from collections.abc import Callable
from typing import Any

import altair as alt
import networkx as nx
import pandas as pd

from metasae.explorer.explorer import named
from metasae.explorer.graph import communities, positions

OKABE_ITO = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#B8AC00", "#999999")
"""Okabe and Ito's palette, the yellow darkened for white paper: of the communities, the largest
first, the last of all that are left."""

KINDS = {"latent": "latent", "meta": "meta-latent"}
"""What a node's kind is called in the table and in the tooltips."""


def node_table(graph: nx.Graph, name_of: Callable[[str, int], str]) -> pd.DataFrame:
    """A row per node of a graph.

    Args:
        name_of: kind ("latent" or "meta") and number → a label; the number stands for an empty one.

    Returns:
        Columns kind (see `KINDS`), index, label, name (number and label), start (whether the graph
        begins there), x, y, community (from 1, the largest first) and links (how many edges it
        has).
    """
    places, groups = positions(graph), communities(graph)
    return pd.DataFrame(
        {
            "kind": KINDS[kind],
            "index": index,
            "label": name_of(kind, index) or f"{index}",
            "name": named(kind, index, name_of(kind, index)),
            "start": bool(start),
            "x": places[kind, index][0],
            "y": places[kind, index][1],
            "community": groups[kind, index] + 1,
            "links": graph.degree[(kind, index)],
        }
        for (kind, index), start in graph.nodes(data="start")
    )


def graph_chart(
    graph: nx.Graph,
    nodes: pd.DataFrame,
    line: str = "#6B7280",
    text: str = "#1B1F24",
    paper: str = "#FFFFFF",
    longest: int | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Squares for meta-latents, circles for latents, lines as thick as activations.

    A click selects a node: the parameter "picked", with the fields kind and index.

    Args:
        graph: what is drawn.
        nodes: its `node_table`.
        line: colour of the lines and of the latents' labels.
        text: colour of the labels of meta-latents and of where the graph begins.
        paper: colour behind.
        longest: characters of a label that are shown; all when left out.
    """
    places = zip(nodes["x"], nodes["y"], strict=True)
    at = dict(zip(zip(nodes["kind"], nodes["index"], strict=True), places, strict=True))
    ends = [
        (*at[KINDS[one[0]], one[1]], *at[KINDS[other[0]], other[1]], weight)
        for one, other, weight in graph.edges(data="weight")
    ]
    edges = pd.DataFrame(ends, columns=["x", "y", "x2", "y2", "activation"])
    lines = (
        alt.Chart(_inline(edges))
        .mark_rule(color=line, opacity=0.5)
        .encode(
            x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None), x2="x2:Q", y2="y2:Q",
            size=alt.Size(
                "activation:Q", scale=alt.Scale(domain=[0, 0.8], range=[0.5, 7]), legend=None
            ),
        )
    )  # fmt: skip
    marked = nodes.assign(
        colour=[OKABE_ITO[min(one, len(OKABE_ITO)) - 1] for one in nodes["community"]],
        short=[_short(name, longest) for name in nodes["label"]],
        heavy=nodes["start"] | (nodes["kind"] == KINDS["meta"]),
    )
    points = (
        alt.Chart(_inline(marked))
        .mark_point(filled=True, opacity=1, stroke=paper, strokeWidth=1)
        .encode(
            x="x:Q",
            y="y:Q",
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=[*KINDS.values()], range=["circle", "square"]),
                legend=None,
            ),
            size=alt.condition("datum.start", alt.value(520), alt.value(190)),
            color=alt.Color("colour:N", scale=None),
            tooltip=["kind:N", "name:N", "links:Q", "community:N"],
        )
        .add_params(alt.selection_point(name="picked", fields=["kind", "index"], on="click"))
    )
    texts = alt.Chart(_inline(marked)).encode(x="x:Q", y="y:Q", text="short:N")
    light = texts.transform_filter("!datum.heavy").mark_text(dy=12, fontSize=10, color=line)
    heavy = texts.transform_filter("datum.heavy").mark_text(
        dy=-16, fontSize=12, fontWeight="bold", color=text
    )
    return alt.layer(lines, points, light, heavy)


def _inline(rows: pd.DataFrame) -> Any:
    """A table as chart data of any length: a data frame may have 5,000 rows at most."""
    values: list[Any] = rows.to_dict("records")
    return alt.InlineData(values=values)


def _short(name: str, longest: int | None) -> str:
    if longest is None or len(name) <= longest:
        return name
    return name[: longest - 1].rstrip() + "…"
