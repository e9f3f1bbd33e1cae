"""Children and their controls: hand-made splits, and directions made at a cosine."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.studies.split_children import (
    across,
    at_cosine,
    children,
    measured,
    of_other_families,
    with_controls,
)
from tests.builders import unit_rows
from tests.metasae.studies.planted import sae_of, sums_of

META = sae_of(torch.eye(8))
SMALL = ((0,), (1,), (2, 3))
LARGE = ((0, 4), (0, 5), (1,), (2, 3, 6), (2, 3, 7), (6, 7))
"""The first and third latent split in two, with cosines √½ and √⅔; the second stays."""


def test_children_are_the_close_ones() -> None:
    found = children(sums_of(SMALL), sums_of(LARGE), 0.7)
    pairs = list(zip(found["parent"], found["child"], strict=True))
    assert pairs == [(0, 0), (0, 1), (1, 2), (2, 3), (2, 4)]
    assert found["cosine"].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 1, *2 * [(2 / 3) ** 0.5]])


@given(st.integers(0, 1000))
def test_a_direction_has_the_cosine_it_is_given_and_the_remainder_it_is_turned_to(
    seed: int,
) -> None:
    directions, cosine = 3 * unit_rows(seed, 20, 8), torch.linspace(0.1, 0.95, 20)
    towards = unit_rows(seed + 1, 20, 8)
    made = at_cosine(directions, cosine, towards)
    assert made.norm(dim=1).tolist() == pytest.approx([1.0] * 20, abs=1e-5)
    found = torch.cosine_similarity(made, directions).tolist()
    assert found == pytest.approx(cosine.tolist(), abs=1e-5)
    unit = directions / 3
    same = torch.cosine_similarity(across(made, unit), across(towards, unit))
    assert same.tolist() == pytest.approx([1.0] * 20, abs=1e-4)


def test_what_a_child_keeps_and_what_its_own_explain() -> None:
    # Parent 0+1; the child has less of 1, and 4 besides, of which a part along 5 stays below the
    # meta-latent's threshold of 0.1.
    parent = sums_of(((0, 1),))
    child = torch.zeros(1, 8)
    child[0, [0, 1, 4, 5]] = torch.tensor([0.8, 0.5, 0.325, 0.0])
    child[0, 5] = 0.08
    child /= child.norm()
    found = measured(META, parent, child)
    one = 0.5**0.5
    c = child[0].tolist()
    assert found["kept"].tolist() == pytest.approx([(min(c[0], one) + c[1]) / (2 * one)])
    assert found["whole"].tolist() == [1.0]
    # Across the parent lie (c0 − c1)/√2 along 0−1, c4 and c5; the added meta-latent has c4 of it.
    length = (c[0] - c[1]) ** 2 / 2 + c[4] ** 2 + c[5] ** 2
    assert found["explained"].tolist() == pytest.approx([c[4] ** 2 / length], rel=1e-4)


def test_nothing_to_keep_or_to_explain_is_no_number() -> None:
    small = torch.full((1, 8), 8**-0.5)  # each meta-latent's threshold is 0.1, so raise it
    deaf = sae_of(torch.eye(8), threshold=0.5)
    found = measured(deaf, small, sums_of(((0,),)))
    assert np.isnan(found["kept"]).all() and np.isnan(found["whole"]).all()
    same = measured(META, sums_of(((0,),)), sums_of(((0,),)))
    assert np.isnan(same["explained"]).all() and same["whole"].tolist() == [1.0]


def test_a_child_without_a_meta_latent_of_its_parent_is_not_whole() -> None:
    found = measured(META, sums_of(((0, 1),)), sums_of(((0, 2),)))
    assert found["whole"].tolist() == [0.0] and found["kept"].tolist() == pytest.approx([0.5])


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(0, 1000))
def test_what_is_taken_in_a_childs_place_is_of_another_family(sizes: list[int], seed: int) -> None:
    families = np.repeat(np.arange(len(sizes)) * 3, sizes)
    drawn = of_other_families(families, np.random.default_rng(seed))
    assert drawn is not None and (families[drawn] != families).all()


def test_every_child_of_other_families_is_drawn() -> None:
    families = np.array([0] * 3000 + [1, 1, 2])
    drawn = of_other_families(families, np.random.default_rng(0))
    assert drawn is not None
    share = np.bincount(drawn[:3000], minlength=3003)[3000:] / 3000
    assert share.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)
    assert of_other_families(np.zeros(4, int), np.random.default_rng(0)) is None


def test_controls_are_measured_beside_children() -> None:
    narrow, wide = sums_of(SMALL), sums_of(LARGE)
    found = children(narrow, wide, 0.7)
    split = found[found["parent"] != 1].reset_index(drop=True)
    table = with_controls(META, narrow, wide, split, 0)
    assert table["whole"].tolist() == [1.0] * 4
    assert table["explained"].tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    # The other family's remainder is one meta-latent as well, and none of the parent's.
    assert table["explained_other"].tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert (table["explained_random"] < 0.999).all()
    alone = with_controls(META, narrow, wide, split[split["parent"] == 0], 0)
    assert alone["explained_other"].isna().all() and alone["kept_random"].notna().all()
    again = with_controls(META, narrow, wide, split, 0)
    pd.testing.assert_frame_equal(table, again)
