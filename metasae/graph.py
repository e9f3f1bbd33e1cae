"""Latents and meta-latents as graphs: around some latents, and of a whole SAE.

Nodes are ("latent", number) and ("meta", number); an edge between the two kinds is a meta-latent's
activation on the latent's decoder direction.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import networkx as nx
import numpy as np
import scipy.sparse

from metasae.decomposition import Decomposition
from metasae.errors import UserError

Node = tuple[str, int]

_LAID_OUT_EXACTLY = 120
"""Nodes up to which the exact layout is used."""

MOST_EDGES = 2_000_000
"""Edges of the graph of a whole SAE beyond which a higher threshold has to be chosen."""


def around(
    decomposition: Decomposition,
    latents: Sequence[int],
    depth: int = 1,
    top: int = 5,
    threshold: float = 0.0,
) -> nx.Graph:
    """Some latents, their meta-latents, and the latents each of these is most active on.

    Args:
        latents: where it starts.
        depth: how often one goes from a latent to its meta-latents and on to their latents.
        top: latents of a meta-latent that are taken.
        threshold: activation below which there is no edge.

    Returns:
        Node attributes kind, index, start (whether it is one of ``latents``) and distance in
        steps; edge attribute weight.

    Raises:
        UserError: for a latent out of range, or none; for no step or no latent a meta-latent.
    """
    if not latents:
        raise UserError("Name at least one latent to start the graph from.")
    if depth < 1 or top < 1:
        raise UserError("A graph goes at least one step and takes at least one latent each.")
    graph: nx.Graph = nx.Graph()
    for latent in latents:
        decomposition.check(latent)
        graph.add_node(("latent", latent), kind="latent", index=latent, start=True, distance=0)
    front = list(dict.fromkeys(latents))
    for step in range(depth):
        metas: dict[int, None] = {}
        for latent in front:
            for meta, weight in decomposition.pieces(latent).items():
                if weight >= threshold:
                    _join(graph, ("latent", latent), ("meta", meta), weight, 2 * step + 1)
                    metas[meta] = None
        reached: dict[int, None] = {}
        for meta in metas:
            for latent, weight in list(decomposition.latents_of(meta).items())[:top]:
                if weight >= threshold:
                    _join(graph, ("meta", meta), ("latent", latent), weight, 2 * step + 2)
                    reached[latent] = None
        front = [latent for latent in reached if latent not in front]
    # Between latents and meta-latents that are both there no edge is left out.
    for kind, index in list(graph):
        if kind == "latent":
            for meta, weight in decomposition.pieces(index).items():
                if ("meta", meta) in graph and weight >= threshold:
                    graph.add_edge((kind, index), ("meta", meta), weight=weight)
    return graph


def _join(graph: nx.Graph, known: Node, other: Node, weight: float, distance: int) -> None:
    if other not in graph:
        graph.add_node(other, kind=other[0], index=other[1], start=False, distance=distance)
    graph.add_edge(known, other, weight=weight)


def communities(graph: nx.Graph, seed: int = 0) -> dict[Node, int]:
    """The community of every node (Louvain on the activations), the largest first."""
    found = nx.community.louvain_communities(graph, weight="weight", seed=seed)
    ordered = sorted(found, key=lambda one: (-len(one), min(one)))
    return {node: number for number, group in enumerate(ordered) for node in group}


def positions(graph: nx.Graph, seed: int = 0) -> dict[Node, tuple[float, float]]:
    """A layout: the start in the middle, what is few steps apart close; the same every time."""
    fixed = [node for node, start in graph.nodes(data="start") if start]
    if len(graph) <= _LAID_OUT_EXACTLY:
        # Distances in steps are kept best this way, in time that grows with the cube of the nodes.
        first = nx.kamada_kawai_layout(graph, weight=None)
    else:
        first = nx.spring_layout(graph, weight=None, seed=seed, iterations=80)
    middle = np.mean([first[node] for node in fixed], axis=0)
    return {node: tuple((place - middle).tolist()) for node, place in first.items()}


@dataclass(frozen=True)
class Projected:
    """The graph of all latents, two joined where they share meta-latents.

    Attributes:
        weights: (F, F), symmetric, sparse, without a diagonal: the sum over shared meta-latents of
            the product of both activations.
    """

    weights: scipy.sparse.csr_matrix

    def statistics(self) -> dict[str, float]:
        """Nodes, edges, degrees and components, from the sparse matrix."""
        matrix = self.weights
        degree = np.diff(matrix.indptr)
        count, labels = scipy.sparse.csgraph.connected_components(matrix, directed=False)
        return {
            "latents": matrix.shape[0],
            "edges": matrix.nnz // 2,
            "density": matrix.nnz / max(1, matrix.shape[0] * (matrix.shape[0] - 1)),
            "mean_degree": float(degree.mean()),
            "median_degree": float(np.median(degree)),
            "largest_degree": int(degree.max(initial=0)),
            "alone": int((degree == 0).sum()),
            "components": int(count),
            "largest_component": int(np.bincount(labels).max()),
        }

    def graph(self) -> nx.Graph:
        """As a networkx graph.

        Raises:
            UserError: beyond `MOST_EDGES`.
        """
        edges = self.weights.nnz // 2
        if edges > MOST_EDGES:
            raise UserError(
                f"The graph has {edges:,} edges, more than the {MOST_EDGES:,} that fit as a "
                "networkx graph; choose a higher threshold."
            )
        return nx.from_scipy_sparse_array(self.weights)


def projected(decomposition: Decomposition, threshold: float = 0.0) -> Projected:
    """Join all latents that share meta-latents, as one sparse product.

    Args:
        threshold: weight below which there is no edge.
    """
    acts = decomposition.activations
    matrix = scipy.sparse.csr_matrix(
        (acts.values().numpy(), acts.col_indices().numpy(), acts.crow_indices().numpy()),
        shape=tuple(acts.shape),
    )
    parts = []
    # A few rows at a time: the product before the threshold may be far larger than after it.
    for begin in range(0, matrix.shape[0], _ROWS):
        part = (matrix[begin : begin + _ROWS] @ matrix.T).tocoo()
        keep = (part.row + begin != part.col) & (part.data >= threshold) & (part.data > 0)
        parts.append(
            scipy.sparse.csr_matrix(
                (part.data[keep], (part.row[keep], part.col[keep])), shape=part.shape
            )
        )
    return Projected(scipy.sparse.vstack(parts, format="csr"))


_ROWS = 1024

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
