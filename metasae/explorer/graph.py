"""Latents and meta-latents as graphs: around some latents, and of a whole SAE.

Nodes are ("latent", number) and ("meta", number); an edge between the two kinds is a meta-latent's
activation on the latent's decoder direction.
"""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
import scipy.sparse

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.saes.decomposition import Decomposition

Node = tuple[str, int]

_LAID_OUT_EXACTLY = 120
"""Nodes up to which the exact layout is used."""

READABLE = 70
"""Nodes of a picture at most: of more, neither marks nor labels can be told apart."""

MOST_EDGES = 2_000_000
"""Edges of the graph of a whole SAE beyond which a higher threshold has to be chosen."""


DEEPEST, MOST_EACH = 8, 1000
"""Steps a graph goes at most, and latents of a meta-latent it takes at most."""


def check_bounds(depth: int, top: int) -> None:
    """Refuse a graph of nothing, or one that nobody could read or wait for.

    Raises:
        UserError: for no step or no latent a meta-latent, or too many.
    """
    if not 1 <= depth <= DEEPEST:
        raise UserError(
            f"A graph goes 1 to {DEEPEST} steps from where it starts, not {depth:,}; choose a "
            "smaller depth."
        )
    if not 1 <= top <= MOST_EACH:
        raise UserError(
            f"A graph takes 1 to {MOST_EACH:,} latents of each meta-latent, not {top:,}; choose "
            "fewer."
        )


def latents_named(lab: Lab, words: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Latents to start from, by number ("12" or "#12") or by a name, whose best is taken; and what
    has to be said of the names, a sentence each.

    Raises:
        UserError: for a number that is none or out of range, or a name without a latent.
    """
    latents: list[int] = []
    said: list[str] = []
    for word in words:
        number = word.strip().removeprefix("#").strip()
        if number.isdecimal():
            latents.append(int(number[:18]))  # more digits than any SAE's numbers have
            lab.decomposition.check(latents[-1])
        elif not re.search(r"[^\d\s.+-]", number):
            raise UserError(f'"{word[:60]}" is no latent; write a number like 12, or a name.')
        else:
            subject = lab.subject(word)
            latents += subject.latents[:1]
            said += subject.remarks
    return tuple(dict.fromkeys(latents)), tuple(said)


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
        UserError: for a latent out of range, or none, and whatever `check_bounds` raises.
    """
    if not latents:
        raise UserError("Name at least one latent to start the graph from.")
    check_bounds(depth, top)
    graph: nx.Graph = nx.Graph()
    for latent in latents:
        decomposition.check(latent)
        graph.add_node(("latent", latent), kind="latent", index=latent, start=True, distance=0)
    front = list(dict.fromkeys(latents))
    gone_from = set(front)
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
        # What was gone from before leads nowhere new.
        front = [latent for latent in reached if latent not in gone_from]
        gone_from.update(front)
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


def readable(graph: nx.Graph, most: int = READABLE) -> nx.Graph:
    """The part of a graph that can be read as a picture: what it starts from and what is nearest.

    Of nodes as many steps away, those with the strongest line to what is kept come first, so every
    node that is kept has a way to the start.

    Args:
        most: nodes at most, those it starts from not counted out.
    """
    if len(graph) <= most:
        return graph
    kept = {node: None for node, start in graph.nodes(data="start") if start}
    waiting: list[tuple[int, float, Node]] = []

    def reach(node: Node) -> None:
        for other, edge in graph[node].items():
            if other not in kept:
                heapq.heappush(waiting, (graph.nodes[other]["distance"], -edge["weight"], other))

    for node in list(kept):
        reach(node)
    while waiting and len(kept) < most:
        _, _, node = heapq.heappop(waiting)
        if node not in kept:
            kept[node] = None
            reach(node)
    part: nx.Graph = graph.subgraph(kept).copy()
    return part


def left_out(graph: nx.Graph, drawn: nx.Graph) -> str:
    """That a picture shows a part of a graph, as a sentence; empty where it shows all."""
    if len(drawn) == len(graph):
        return ""
    return (
        f"The picture shows the {len(drawn)} nodes nearest to the start, the strongest first, of "
        f"{len(graph):,}: more can't be read. GraphML and JSON hold all of them."
    )


def communities(graph: nx.Graph, seed: int = 0) -> dict[Node, int]:
    """The community of every node (Louvain on the activations), the largest first."""
    groups = nx.community.louvain_communities(graph, weight="weight", seed=seed)
    ordered = sorted(groups, key=lambda one: (-len(one), min(one)))
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
