"""A graph as GraphML, JSON or a picture."""

import io
import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import altair as alt
import networkx as nx
import vl_convert

from metasae.errors import UserError
from metasae.explorer.graph_chart import graph_chart, node_table

FORMATS = ("graphml", "json", "svg")

_PAPER = (1200, 900)
"""Width and height of the picture in pixels, its margins not counted."""

_SVG = "http://www.w3.org/2000/svg"


def exported(
    graph: nx.Graph, fmt: str, name_of: Callable[[str, int], str], about: dict[str, Any]
) -> str:
    """A graph as GraphML, node-link JSON or a picture (SVG), its nodes named.

    Args:
        name_of: kind ("latent" or "meta") and number → a label.
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
    """The graph's chart as SVG, what it came from in its description."""
    nodes = node_table(graph, lambda kind, index: _plain(name_of(kind, index)))
    width, height = _PAPER
    chart = (
        graph_chart(graph, nodes)
        .properties(width=width, height=height, background="white")
        .configure_view(stroke=None)
    )
    drawn = vl_convert.vegalite_to_svg(
        chart.to_dict(), vl_version=".".join(alt.SCHEMA_VERSION.split(".")[:2])
    )
    picture = ElementTree.fromstring(drawn)
    description = ElementTree.Element(f"{{{_SVG}}}desc")
    note = {key: str(value) for key, value in about.items()}
    description.text = json.dumps(note, ensure_ascii=False)
    picture.insert(0, description)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(picture, encoding="unicode") + "\n"


def _plain(text: str) -> str:
    """Without the control characters XML has no place for."""
    return "".join(letter for letter in text if letter.isprintable())
