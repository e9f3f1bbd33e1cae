"""The picture of a graph of latents and meta-latents, as a chart."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import networkx as nx
import numpy as np
import pandas as pd

from metasae.explorer.explorer import named
from metasae.explorer.graph import communities, positions
from metasae.explorer.graph_labels import placed

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
    sizes: Sequence[tuple[int, int]] = ((330, 590), (640, 590), (1000, 590)),
    still: bool = True,
) -> alt.LayerChart | alt.FacetChart:
    """Squares for meta-latents, circles for latents, lines as thick as activations.

    A click selects a node: the parameter "picked", with the fields kind and index. On screen Ctrl
    and the wheel zoom, dragging moves, a double click shows all again. No label lies on another:
    those that find no room appear on zooming in.

    Args:
        graph: what is drawn.
        nodes: its `node_table`.
        line: colour of the lines.
        text: colour of the labels and of the marks' edges.
        paper: colour behind.
        longest: characters of a label that are shown; all when left out.
        sizes: widths and heights in pixels that labels are placed for, narrow to wide; a picture
            has the widest placing that fits into it.
        still: whether it is a picture for a file: it says itself what its shapes and colours mean,
            and can't be enlarged.
    """
    at = _shares(nodes)
    where = dict(zip(zip(nodes["kind"], nodes["index"], strict=True), at.tolist(), strict=True))
    ends = [
        (*where[KINDS[one[0]], one[1]], *where[KINDS[other[0]], other[1]], weight)
        for one, other, weight in graph.edges(data="weight")
    ]
    edges = pd.DataFrame(ends, columns=["x", "y", "x2", "y2", "activation"])
    whole = alt.Scale(domain=[-_MARGIN, 1 + _MARGIN], nice=False, zero=False)
    x, y = alt.X("x:Q", axis=None, scale=whole), alt.Y("y:Q", axis=None, scale=whole)
    lines = (
        alt.Chart(_inline(edges))
        .mark_rule(color=line, opacity=0.35, clip=not still)
        .encode(
            x=x, y=y, x2="x2:Q", y2="y2:Q",
            size=alt.Size(
                "activation:Q", scale=alt.Scale(domain=[0, 0.8], range=[0.5, 7]), legend=None
            ),
        )
    )  # fmt: skip
    marked = _marked(nodes, at, longest, sizes)
    groups = group_colours(nodes, longest)
    points = (
        alt.Chart(_inline(marked))
        .mark_point(filled=True, opacity=1, stroke=text, clip=not still, cursor="pointer")
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=[*KINDS.values()], range=["circle", "square"]),
                legend=_legend("Shape", text) if still else None,
            ),
            size=alt.condition("datum.start", alt.value(_START), alt.value(_USUAL)),
            strokeWidth=alt.condition("datum.start", alt.value(3), alt.value(0.8)),
            color=alt.Color(
                "group:N",
                scale=alt.Scale(domain=[*groups], range=[*groups.values()]),
                legend=_legend("Colour: its group, by its most linked meta-latent", text)
                if still
                else None,
            ),
            tooltip=["kind:N", "name:N", "links:Q", "community:N"],
        )
        .add_params(alt.selection_point(name="picked", fields=["kind", "index"], on="click"))
    )
    if not still:
        points = points.add_params(
            # The wheel alone scrolls the page, as it does everywhere else on it.
            alt.selection_interval(
                name="view", bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]"
            )
        )
    dx, dy, zoom = (_by_width(name, sizes) for name in ("dx", "dy", "zoom"))
    texts = alt.Chart(_inline(marked)).encode(
        x=x, y=y, text="short:N",
        opacity=alt.condition(f"{_ZOOM} >= {zoom}", alt.value(1), alt.value(0)),
    )  # fmt: skip
    about: dict[str, Any] = {
        "align": "center", "baseline": "middle", "clip": not still,
        "dx": alt.ExprRef(dx), "dy": alt.ExprRef(dy),
    }  # fmt: skip
    light = texts.transform_filter("!datum.heavy").mark_text(**about, fontSize=_LIGHT, color=text)
    heavy = texts.transform_filter("datum.heavy").mark_text(
        **about, fontSize=_HEAVY, fontWeight="bold", color=text
    )
    return alt.layer(lines, points, light, heavy)


def group_colours(nodes: pd.DataFrame, longest: int | None = None) -> dict[str, str]:
    """What the groups of a graph's nodes are called → their colours, the largest first."""
    named = dict(zip(_groups(nodes, longest), nodes["community"], strict=True))
    ordered = sorted(named.items(), key=lambda one: one[1])
    return {name: OKABE_ITO[min(number, len(OKABE_ITO)) - 1] for name, number in ordered}


_MARGIN = 0.08
"""Room around the outermost nodes, as a share of the picture."""

_START, _USUAL = 520, 190
"""Areas of the marks in square pixels: where the graph begins, and all others."""

_HEAVY, _LIGHT = 12, 10.5
"""Sizes of the labels' letters: of meta-latents and where the graph begins, and of latents."""

_ZOOM = f"{1 + 2 * _MARGIN + 1e-6} / (domain('x')[1] - domain('x')[0])"
"""How much the picture is enlarged, as Vega's expression."""


def _by_width(name: str, sizes: Sequence[tuple[int, int]]) -> str:
    """A label's placing by the width there is, as Vega's expression."""
    said = f"datum.{name}0"
    for number, (width, _) in enumerate(sizes[1:], 1):
        said = f"width >= {width} ? datum.{name}{number} : {said}"
    return f"({said})"


def _legend(title: str, text: str) -> alt.Legend:
    return alt.Legend(
        title=title, orient="bottom", direction="vertical", labelColor=text, titleColor=text,
        titleFontWeight="normal", titleLimit=400, labelLimit=300, symbolStrokeColor=text, columns=4,
    )  # fmt: skip


def _shares(nodes: pd.DataFrame) -> np.ndarray:
    """(N, 2): places as shares of the picture's width and height."""
    places = nodes[["x", "y"]].to_numpy(dtype=float)
    low = places.min(0)
    extent = places.max(0) - low
    # A lone node, or a row of them, stands in the middle.
    return np.where(extent > 0, (places - low) / np.where(extent > 0, extent, 1), 0.5)


def _marked(
    nodes: pd.DataFrame, at: np.ndarray, longest: int | None, sizes: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """The nodes with all that is drawn of them."""
    heavy = nodes["start"] | (nodes["kind"] == KINDS["meta"])
    short = [_short(name, longest) for name in nodes["label"]]
    marked = nodes.assign(
        x=at[:, 0], y=at[:, 1], short=short, heavy=heavy, group=_groups(nodes, longest)
    )
    # Labels of where it begins come first, then meta-latents', those with most lines before others.
    order = np.lexsort((-nodes["links"], ~heavy, ~nodes["start"])).tolist()
    radii = [(_START if start else _USUAL) ** 0.5 / 2 for start in nodes["start"]]
    fonts = [_HEAVY if one else _LIGHT for one in heavy]
    # The picture's y runs upwards, pixels downwards.
    places = (np.column_stack([at[:, 0], 1 - at[:, 1]]) + _MARGIN) / (1 + 2 * _MARGIN)
    for number, size in enumerate(sizes):
        labels = placed(places, short, fonts, radii, order, size)
        for name in ("zoom", "dx", "dy"):
            marked[f"{name}{number}"] = [getattr(one, name) for one in labels]
    return marked


def _groups(nodes: pd.DataFrame, longest: int | None) -> list[str]:
    """What each node's group is called: its number, and the meta-latent with most lines in it."""
    last = len(OKABE_ITO)
    called: dict[int, str] = {}
    metas = nodes[nodes["kind"] == KINDS["meta"]].sort_values(
        "links", ascending=False, kind="stable"
    )
    for number, label in zip(metas["community"], metas["label"], strict=True):
        called.setdefault(int(number), _short(label, longest))
    return [
        f"{number}: {called[number]}" if number < last and number in called
        else str(number) if number < last
        else "all other groups"
        for number in nodes["community"]
    ]  # fmt: skip


def _inline(rows: pd.DataFrame) -> Any:
    """A table as chart data of any length: a data frame may have 5,000 rows at most."""
    values: list[Any] = rows.to_dict("records")
    return alt.InlineData(values=values)


def _short(name: str, longest: int | None) -> str:
    if longest is None or len(name) <= longest:
        return name
    return name[: longest - 1].rstrip() + "…"
