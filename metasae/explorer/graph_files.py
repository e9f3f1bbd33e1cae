"""A graph as GraphML, JSON or a picture."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx

from metasae.errors import UserError
from metasae.explorer.graph_chart import graph_chart, node_table
from metasae.explorer.svg import svg_of
from metasae.sources.files import json_text

FORMATS = ("graphml", "json", "svg")

_PAPER = (1200, 900)
"""Width and height of the picture in pixels, its margins not counted."""

NameOf = Callable[[str, int], str]
"""A node's kind ("latent" or "meta") and number → its label."""


def format_of(path: Path) -> str:
    """The format that a file's ending names.

    Raises:
        UserError: when it names none.
    """
    fmt = path.suffix.lower().removeprefix(".")
    if fmt not in FORMATS:
        raise UserError(
            f"{path} has no ending that says how to write it; choose "
            f"{', '.join(f'.{one}' for one in FORMATS)}, or give --format."
        )
    return fmt


def exported(graph: nx.Graph, fmt: str, name_of: NameOf, about: dict[str, Any]) -> str:
    """A graph as GraphML, node-link JSON or a picture (SVG), its nodes named.

    Args:
        about: what it came from; graph attributes.

    Raises:
        UserError: for another format.
    """
    if fmt not in FORMATS:
        raise UserError(f"There is no format {fmt}; choose {', '.join(FORMATS)}.")
    if fmt == "svg":
        return _picture(graph, name_of, about)
    if fmt == "json":
        return json_text(node_link(graph, name_of, about))
    out = io.BytesIO()
    nx.write_graphml(_named(graph, name_of, about), out)
    return out.getvalue().decode()


def node_link(graph: nx.Graph, name_of: NameOf, about: dict[str, Any]) -> dict[str, Any]:
    """A graph as networkx's node-link values, which are JSON-able; see `exported`."""
    values: dict[str, Any] = nx.node_link_data(_named(graph, name_of, about), edges="edges")
    return values


def _named(graph: nx.Graph, name_of: NameOf, about: dict[str, Any]) -> nx.Graph:
    """The graph with texts for nodes, their labels, and what it came from."""
    named: nx.Graph = nx.Graph(**{key: str(value) for key, value in about.items()})
    for (kind, index), values in graph.nodes(data=True):
        named.add_node(f"{kind} {index}", **values, label=_plain(name_of(kind, index)))
    for one, other, values in graph.edges(data=True):
        named.add_edge(f"{one[0]} {one[1]}", f"{other[0]} {other[1]}", **values)
    return named


def _picture(graph: nx.Graph, name_of: NameOf, about: dict[str, Any]) -> str:
    """The graph's chart as SVG, what it came from in its description."""
    nodes = node_table(graph, lambda kind, index: _plain(name_of(kind, index)))
    width, height = _PAPER
    chart = (
        graph_chart(graph, nodes, sizes=(_PAPER,))
        .properties(width=width, height=height, background="white")
        .configure_view(stroke=None)
    )
    return svg_of(chart.to_dict(), about)


def _plain(text: str) -> str:
    """Without the control characters XML has no place for."""
    return "".join(letter for letter in text if letter.isprintable())
