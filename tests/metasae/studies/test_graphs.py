"""Graphs counted by hand, and against a dense count."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.progress import silent
from metasae.studies import graphs as module
from metasae.studies.graphs import (
    Configuration,
    above,
    joined,
    members_by_meta,
    overlap,
    run,
    share_range,
    similar,
    with_as_many_edges,
    with_same_degrees,
)
from tests.builders import one_sentence, unit_rows
from tests.metasae.studies.planted import material_of

LATENTS = ((0, 1), (1, 2), (2, 3), (4,), (4, 5))


def edges(graph: sp.csr_array) -> set[tuple[int, int]]:
    found = graph.tocoo()
    return set(zip(found.row.tolist(), found.col.tolist(), strict=True))


def test_latents_with_a_common_meta_latent_are_joined() -> None:
    members = members_by_meta(material_of(LATENTS).decomposition)
    assert edges(joined(members)) == {(0, 1), (1, 2), (3, 4)}


def test_the_commonest_meta_latents_join_none() -> None:
    members = members_by_meta(material_of(((0,), (0, 1), (0, 2), (1, 3))).decomposition, 0.6)
    assert edges(joined(members)) == {(1, 3)}


@given(st.integers(0, 1000), st.floats(0.25, 0.9))
def test_the_graph_is_that_of_a_dense_count(seed: int, threshold: float) -> None:
    directions, others = unit_rows(seed, 30, 6), unit_rows(seed + 1, 12, 6)
    graph = joined(above(similar(directions, others), threshold))
    close = ((directions @ others.T) > threshold).int()
    dense = torch.triu(close @ close.T, 1) > 0
    assert edges(graph) == {(int(a), int(b)) for a, b in dense.nonzero()}


@pytest.mark.slow
@given(st.integers(0, 100), st.integers(1, 60))
def test_the_threshold_gives_the_most_edges_that_are_not_too_many(seed: int, wanted: int) -> None:
    cosines = similar(unit_rows(seed, 30, 6), unit_rows(seed + 1, 12, 6))
    threshold, graph = with_as_many_edges(cosines, wanted)
    assert graph.nnz <= wanted
    # One step lower, at the next cosine there is, there would be too many or just as many.
    lower = cosines.data[cosines.data <= threshold]
    if len(lower):
        assert joined(above(cosines, float(lower.max()) - 1e-6)).nnz >= graph.nnz
        counts = {joined(above(cosines, float(one))).nnz for one in cosines.data}
        assert graph.nnz == max([one for one in counts if one <= wanted] + [0])


def test_too_few_edges_are_refused() -> None:
    with pytest.raises(UserError) as raised:
        with_as_many_edges(similar(unit_rows(0, 5, 6), unit_rows(1, 2, 6)), 100)
    one_sentence(raised)


def test_overlaps_are_counted() -> None:
    one = joined(members_by_meta(material_of(LATENTS).decomposition))
    other = joined(members_by_meta(material_of(((0,), (0,), (3,), (4,), (4,))).decomposition))
    # Edges 01, 12, 34 and 01, 34: two in both, three in either.
    assert overlap(one, other) == (2, pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_the_share_of_shared_edges_has_a_range_around_it() -> None:
    draw = np.random.default_rng(1)
    one = sp.csr_array(sp.triu(sp.random_array((300, 300), density=0.05, rng=draw) > 0, k=1))
    one = one.astype(np.int32)
    half = one.copy()
    half.data = (draw.random(half.nnz) < 0.5).astype(np.int32)
    half.eliminate_zeros()
    low, high = share_range(one, half, 0)
    share = overlap(one, half)[1]
    assert low < share < high and high - low < 0.1
    assert share_range(one, one, 0) == (1.0, 1.0)


def test_a_random_graph_has_about_the_same_degrees() -> None:
    draw = np.random.default_rng(0)
    graph = sp.csr_array(sp.triu(sp.random_array((400, 400), density=0.02, rng=draw) > 0, k=1))
    graph = graph.astype(np.int32)
    made = with_same_degrees(graph, draw)
    assert 0.95 * graph.nnz < made.nnz <= graph.nnz
    assert sp.tril(made).nnz == 0
    degrees = [np.asarray(one.sum(0) + one.sum(1)) for one in (graph, made)]
    assert np.corrcoef(degrees[0], degrees[1])[0, 1] > 0.9
    assert overlap(graph, made)[1] < 0.1


def test_a_smaller_sae_of_the_same_parts_joins_the_same_latents() -> None:
    finding = run(material_of(LATENTS, ((0, 1, 2), (1, 2, 3), (4,)), seeds=1),
                  Configuration(smaller_share=0.5), silent)  # fmt: skip
    (first, second) = finding.figures["graphs"]
    assert first["edges_meta"] == 3 and first["share"] == second["share"]
    assert finding.figures["between_seeds"] == [
        {"seed": 0, "other": 1, "share": 1.0, "jaccard": 1.0}
    ]


def test_latents_that_share_nothing_are_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(((0,), (1,)), ((0,),)), Configuration(), silent)
    one_sentence(raised)


def test_chance_is_that_of_both_graphs_and_the_range_is_of_what_they_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "with_same_degrees", lambda graph, draw: graph)
    monkeypatch.setattr(module, "share_range", lambda one, other, seed: (one.nnz, other.nnz))
    # A has 01, 12 and 34. Of B, which may have three edges as well, 01 and 34 come before three
    # more at once.
    material = material_of(LATENTS, ((0, 1), (0, 2, 3), (4,)))
    (row,) = run(material, Configuration(smaller_share=0.5), silent).figures["graphs"]
    assert (row["edges_meta"], row["edges_cosine"]) == (3, 2)
    assert row["share"] == row["random_share"] == pytest.approx(2 / 3)
    assert row["jaccard"] == row["random_jaccard"] == pytest.approx(2 / 3)
    assert (row["low"], row["high"]) == (3, 2)
