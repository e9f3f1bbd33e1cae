"""A graph as GraphML, JSON or a picture."""

import io
import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import networkx as nx
import numpy as np

from metasae.errors import UserError
from metasae.explorer.graph import communities, positions

FORMATS = ("graphml", "json", "svg")

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8ac00", "#888888")
"""Of the communities (Okabe and Ito's, the yellow darkened for white paper), the largest first."""

_PAPER = (1200, 900)

_MARGIN = 90


def exported(
    graph: nx.Graph, fmt: str, name_of: Callable[[str, int], str], about: dict[str, Any]
) -> str:
    """A graph as GraphML, node-link JSON or a picture (SVG), its nodes named.

    Args:
        name_of: kind and number → a label.
        about: what it came from; graph attributes.

    Raises:
        UserError: for another format.
    """
    if fmt not in FORMATS:
        raise UserError(f"There is no format {fmt}; choose {', '.join(FORMATS)}.")
    if fmt == "svg":
        return _picture(graph, name_of, about)
    named: nx.Graph = nx.Graph(**{key: str(value) for key, value in about.items()})
    for (kind, index), values in graph.nodes(data=True):
        named.add_node(f"{kind} {index}", **values, label=_plain(name_of(kind, index)))
    for one, other, values in graph.edges(data=True):
        named.add_edge(f"{one[0]} {one[1]}", f"{other[0]} {other[1]}", **values)
    if fmt == "json":
        return json.dumps(nx.node_link_data(named, edges="edges"), indent=1, ensure_ascii=False)
    out = io.BytesIO()
    nx.write_graphml(named, out)
    return out.getvalue().decode()


def _picture(graph: nx.Graph, name_of: Callable[[str, int], str], about: dict[str, Any]) -> str:
    """Squares for meta-latents, circles for latents, lines as thick as activations."""
    places, groups = positions(graph), communities(graph)
    x, y = np.array(list(places.values())).T
    spans = max(np.ptp(x), 1e-9), max(np.ptp(y), 1e-9)
    at = {
        node: (
            _MARGIN + (place[0] - x.min()) / spans[0] * (_PAPER[0] - 2 * _MARGIN),
            _PAPER[1] - _MARGIN - (place[1] - y.min()) / spans[1] * (_PAPER[1] - 2 * _MARGIN),
        )
        for node, place in places.items()
    }
    note = json.dumps({key: str(value) for key, value in about.items()}, ensure_ascii=False)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_PAPER[0]} {_PAPER[1]}" '
        'font-family="sans-serif" font-size="13" text-anchor="middle">',
        f"<desc>{escape(note)}</desc>",
        f'<rect width="{_PAPER[0]}" height="{_PAPER[1]}" fill="white"/>',
    ]
    for one, other, weight in graph.edges(data="weight"):
        (x1, y1), (x2, y2) = at[one], at[other]
        lines.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#999" '
            f'stroke-width="{1 + 9 * weight:.2f}" stroke-opacity="0.6"><title>{weight:.2f}</title>'
            "</line>"
        )
    for node, values in graph.nodes(data=True):
        (kind, index), (x1, y1) = node, at[node]
        colour = COLOURS[min(groups[node], len(COLOURS) - 1)]
        size = 12 if values["start"] else 8
        lines.append(
            f'<rect x="{x1 - size:.1f}" y="{y1 - size:.1f}" width="{2 * size}" height="{2 * size}" '
            f'fill="{colour}"/>'
            if kind == "meta"
            else f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="{size}" fill="{colour}"/>'
        )
        bold = ' font-weight="bold"' if kind == "meta" or values["start"] else ""
        name = _plain(name_of(kind, index)) or str(index)
        lines.append(
            f'<text x="{x1:.1f}" y="{y1 - size - 5:.1f}"{bold} stroke="white" stroke-width="3" '
            f'paint-order="stroke">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _plain(text: str) -> str:
    """Without the control characters XML has no place for."""
    return "".join(letter for letter in text if letter.isprintable())
