"""Graphs of latents and meta-latents, against the dense matrices."""

import json
import re
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.explorer import graph, graph_chart, graph_files
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from tests.builders import one_sentence, orthonormal_decomposition

SVG = "{http://www.w3.org/2000/svg}"


def small(seed: int = 0, latents: int = 60) -> Decomposition:
    """Random unit directions under an orthonormal meta-SAE."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(latents, 12, generator=draw))
    basis = torch.linalg.qr(torch.randn(12, 12, generator=draw))[0]
    sae = SparseAutoencoder(rows.T, torch.zeros(latents), rows, torch.zeros(12), k=2)
    meta = SparseAutoencoder(
        basis.T, torch.zeros(12), basis, torch.zeros(12), threshold=torch.full((12,), 0.25)
    )
    return Decomposition(sae, meta)


def test_around_one_latent_by_hand() -> None:
    decomposition = orthonormal_decomposition()
    # Latent 0 has the meta-latents 0, 1, 2; latent 1 has 2, 3, 4; latent 2 has 0 and 4.
    found = graph.around(decomposition, [0], top=5)
    metas = {index for kind, index in found if kind == "meta"}
    latents = {index for kind, index in found if kind == "latent"}
    assert metas == set(decomposition.pieces(0)) == {0, 1, 2}
    assert latents == {0, 1, 2}
    for one, other, weight in found.edges(data="weight"):
        latent, meta = sorted([one, other])[0][1], sorted([one, other])[1][1]
        assert weight == pytest.approx(decomposition.pieces(latent)[meta])
    assert found.nodes["latent", 0] == {"kind": "latent", "index": 0, "start": True, "distance": 0}
    assert found.nodes["meta", 2]["distance"] == 1 and found.nodes["latent", 1]["distance"] == 2


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 2), st.integers(1, 5), st.floats(0, 0.6))
def test_every_edge_is_an_activation_above_the_threshold(
    seed: int, depth: int, top: int, threshold: float
) -> None:
    decomposition = small(seed)
    dense = decomposition.activations.to_dense()
    found = graph.around(decomposition, [3, 7], depth, top, threshold)
    for one, other, weight in found.edges(data="weight"):
        (_, latent), (_, meta) = sorted([one, other])
        assert weight == pytest.approx(float(dense[latent, meta])) and weight >= threshold
    for kind, latent in found:
        if kind == "latent":
            near = {m for m in decomposition.pieces(latent) if ("meta", m) in found}
            near = {m for m in near if dense[latent, m] >= threshold}
            assert {index for _, index in found["latent", latent]} == near
    strong = {m for m in decomposition.pieces(3) if dense[3, m] >= threshold}
    assert strong <= {index for kind, index in found if kind == "meta"}
    assert nx.is_bipartite(found)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3])
def test_the_projected_graph_is_the_dense_product(threshold: float) -> None:
    decomposition = small(2)
    dense = decomposition.activations.to_dense().double().numpy()
    expected = dense @ dense.T
    np.fill_diagonal(expected, 0)
    expected[expected < max(threshold, 1e-12)] = 0
    found = graph.projected(decomposition, threshold)
    assert np.allclose(found.weights.toarray(), expected, atol=1e-6)
    statistics, made = found.statistics(), found.graph()
    assert statistics["edges"] == made.number_of_edges() == int((expected > 0).sum()) // 2
    assert statistics["components"] == nx.number_connected_components(made)
    assert statistics["largest_degree"] == max(dict(made.degree).values())
    assert statistics["alone"] == nx.number_of_isolates(made)
    assert statistics["density"] == pytest.approx(nx.density(made))


def test_in_parts_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = graph.projected(small()).weights
    monkeypatch.setattr(graph, "_ROWS", 7)
    assert (graph.projected(small()).weights != whole).nnz == 0


def test_a_graph_too_large_for_networkx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_EDGES", 3)
    with pytest.raises(UserError) as raised:
        graph.projected(small()).graph()
    assert "choose a higher threshold" in one_sentence(raised)


def test_communities_and_places_are_the_same_every_time() -> None:
    made = graph.around(small(), [1, 2], 2)
    assert graph.communities(made) == graph.communities(made)
    assert graph.positions(made) == graph.positions(made)
    assert set(graph.positions(made)) == set(made) == set(graph.communities(made))
    middle = np.mean([graph.positions(made)["latent", n] for n in (1, 2)], axis=0)
    assert np.allclose(middle, 0, atol=1e-6)


def test_it_is_exported_whole_and_markup_stays_text() -> None:
    made = graph.around(small(), [1], 1)
    name = 'a <b>&"\x07'
    for fmt in ("graphml", "json"):
        text = graph_files.exported(made, fmt, lambda kind, index: name, {"sae": "x@1"})
        if fmt == "json":
            again = nx.node_link_graph(json.loads(text), edges="edges")
        else:
            again = nx.parse_graphml(text)
        assert again.graph["sae"] == "x@1"
        assert (len(again), again.size()) == (len(made), made.size())
        assert again.nodes["latent 1"]["label"] == 'a <b>&"'
        for one, other, weight in made.edges(data="weight"):
            edge = again.edges[f"{one[0]} {one[1]}", f"{other[0]} {other[1]}"]
            assert edge["weight"] == pytest.approx(weight)
    with pytest.raises(UserError, match="no format gif"):
        graph_files.exported(made, "gif", lambda kind, index: "", {})


def test_the_picture_has_every_node_and_line_and_markup_stays_text() -> None:
    made = graph.around(small(), [1, 2], 1)
    text = graph_files.exported(
        made, "svg", lambda kind, index: f'{kind} <b>&" {index}', {"sae": "x@1"}
    )
    picture = ElementTree.fromstring(text)
    legends = [one for one in picture.iter(SVG + "g") if "role-legend" in one.get("class", "")]
    told = {str(text.text) for one in legends for text in one.iter(SVG + "text")}
    assert {"latent", "meta-latent"} <= told
    of_legends = {id(text) for one in legends for text in one.iter(SVG + "text")}
    names = [one.text for one in picture.iter(SVG + "text") if id(one) not in of_legends]
    assert sorted(map(str, names)) == sorted(f'{kind} <b>&" {index}' for kind, index in made)
    lines = list(picture.iter(SVG + "line"))
    weights = [weight for *_, weight in made.edges(data="weight")]
    assert [float(one.attrib["stroke-width"]) for one in lines] == pytest.approx(
        [0.5 + 6.5 / 0.8 * weight for weight in weights]
    )
    shapes = [
        one for one in picture.iter(SVG + "path") if one.get("aria-roledescription") == "point"
    ]
    shown = [one.attrib["aria-label"] for one in shapes]
    for (kind, index), label in zip(made, shown, strict=True):
        named, number = {"latent": ("latent", "#"), "meta": ("meta-latent", "meta-latent ")}[kind]
        assert f'kind: {named}; name: {number}{index} {kind} <b>&" {index};' in label
    round_ones = ["A" in one.attrib["d"] for one in shapes]
    assert round_ones == [kind == "latent" for kind, _ in made]
    width, height = (float(picture.attrib[side]) for side in ("width", "height"))
    for one in shapes:
        x, y = map(float, re.findall(r"-?[\d.]+", one.attrib["transform"]))
        assert 0 < x < width and 0 < y < height
    (about,) = picture.iter(SVG + "desc")
    assert json.loads(str(about.text)) == {"sae": "x@1"}


@pytest.mark.long
def test_a_picture_may_be_large_or_have_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = graph.around(small(), [1], 1, threshold=10.0)
    text = graph_files.exported(lone, "svg", lambda kind, index: "", {})
    labels = [
        one.text
        for group in ElementTree.fromstring(text).iter(SVG + "g")
        if "role-mark" in group.get("class", "")
        for one in group.iter(SVG + "text")
    ]
    assert labels == ["1"]
    star: nx.Graph = nx.star_graph(5001)  # altair takes 5,000 rows of its own accord
    star = nx.relabel_nodes(star, {n: ("latent" if n else "meta", n) for n in star})
    nx.set_node_attributes(star, {node: node[0] == "meta" for node in star}, "start")
    nx.set_edge_attributes(star, 0.5, "weight")
    monkeypatch.setattr(graph_chart, "communities", lambda made: dict.fromkeys(made, 0))
    monkeypatch.setattr(graph_chart, "positions", lambda made: dict.fromkeys(made, (0.0, 1.0)))
    nodes = graph_chart.node_table(star, lambda kind, index: "")
    chart = graph_chart.graph_chart(star, nodes).to_dict()
    assert {len(rows) for rows in chart["datasets"].values()} == {5001, 5002}


def test_long_labels_are_cut_where_there_is_no_room() -> None:
    made = graph.around(small(), [1], 1)
    nodes = graph_chart.node_table(made, lambda kind, index: "a label that goes on and on")
    assert set(nodes["label"]) == {"a label that goes on and on"}
    shown = {
        longest: {
            row["short"]
            for rows in graph_chart.graph_chart(made, nodes, longest=longest)
            .to_dict()["datasets"]
            .values()
            for row in rows
            if "short" in row
        }
        for longest in (None, 10)
    }
    assert shown == {None: {"a label that goes on and on"}, 10: {"a label t…"}}


def star(weights: list[float]) -> nx.Graph:
    """A latent with meta-latents 0, 1, 2 …, each with one more latent."""
    made: nx.Graph = nx.Graph()
    made.add_node(("latent", 0), kind="latent", index=0, start=True, distance=0)
    for meta, weight in enumerate(weights):
        made.add_node(("meta", meta), kind="meta", index=meta, start=False, distance=1)
        made.add_edge(("latent", 0), ("meta", meta), weight=weight)
        made.add_node(("latent", meta + 1), kind="latent", index=meta + 1, start=False, distance=2)
        made.add_edge(("meta", meta), ("latent", meta + 1), weight=1 - weight)
    return made


def test_what_is_drawn_is_nearest_to_the_start_and_strongest() -> None:
    made = star([0.2, 0.6, 0.4])
    # The start, then its meta-latents by weight, then their latents by weight.
    order = [("latent", 0), ("meta", 1), ("meta", 2), ("meta", 0),
             ("latent", 1), ("latent", 3), ("latent", 2)]  # fmt: skip
    for most in range(1, 8):
        drawn = graph.readable(made, most)
        assert set(drawn) == set(order[:most])
        assert drawn.number_of_edges() == made.subgraph(order[:most]).number_of_edges()
    assert graph.readable(made, 7) is made and graph.left_out(made, made) == ""
    said = graph.left_out(made, graph.readable(made, 4))
    assert (
        said.startswith("The picture shows the 4 nodes nearest to the start") and " of 7:" in said
    )


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_what_is_drawn_has_a_way_to_the_start(seed: int, most: int) -> None:
    made = graph.around(small(seed), [3, 7], 2, 5)
    drawn = graph.readable(made, most)
    assert len(drawn) == min(len(made), max(2, most))
    begun = {node for node, start in drawn.nodes(data="start") if start}
    assert begun == {("latent", 3), ("latent", 7)}
    for part in nx.connected_components(drawn):
        assert part & begun


def test_groups_are_called_by_their_most_linked_meta_latent() -> None:
    nodes = pd.DataFrame(
        [
            ("latent", "Tokyo", 1, 9), ("meta-latent", "Asia", 1, 2), ("meta-latent", "city", 1, 5),
            ("latent", "Rome", 2, 1), ("meta-latent", "tail", 9, 1),
        ],
        columns=["kind", "label", "community", "links"],
    )  # fmt: skip
    assert graph_chart.group_colours(nodes) == {
        "1: city": "#56B4E9", "2": "#E69F00", "all other groups": "#999999",
    }  # fmt: skip


def test_a_latent_out_of_range_is_said() -> None:
    with pytest.raises(UserError, match="There is no latent 60"):
        graph.around(small(), [60])
    with pytest.raises(UserError, match="at least one latent"):
        graph.around(small(), [])
    for depth in (0, -1, 9, 1_000_000):
        with pytest.raises(UserError, match="goes 1 to 8 steps"):
            graph.around(small(), [1], depth)
    for top in (0, -1, 1001):
        with pytest.raises(UserError, match="takes 1 to 1,000 latents"):
            graph.around(small(), [1], 1, top)
