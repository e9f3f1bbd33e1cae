"""Edits as values: what they change, and what survives JSON."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.errors import UserError
from metasae.steering.edits import (
    KINDS,
    NO_EDIT,
    Edit,
    EditOptions,
    LatentSwap,
    MetaLatentEdit,
    edit_of_kind,
)
from tests.builders import one_sentence, orthonormal_decomposition
from tests.metasae.steering.compiled import compile_edit
from tests.strategies import STRENGTHS, edits


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="There is no meta-latent 6"):
        compile_edit(orthonormal_decomposition(), MetaLatentEdit(((6, 1.0),)), [0], [1], [7.0])
    with pytest.raises(UserError, match="There is no latent 9"):
        compile_edit(orthonormal_decomposition(), MetaLatentEdit(((0, 0.0),)), [9], [1], [7.0])


def test_strengths_are_kept_in_the_meta_latents_order() -> None:
    assert MetaLatentEdit(((5, 1.0), (2, 0.0))).strengths == ((2, 0.0), (5, 1.0))
    assert MetaLatentEdit(((5, 1.0), (2, 0.0))) == MetaLatentEdit(((2, 0.0), (5, 1.0)))


def test_what_changes_nothing() -> None:
    assert NO_EDIT.changes_nothing
    assert MetaLatentEdit(options=EditOptions(keep_residual=True, position="all")).changes_nothing
    assert not MetaLatentEdit(options=EditOptions(keep_error=False)).changes_nothing
    assert not LatentSwap().changes_nothing
    assert not MetaLatentEdit(((1, 0.0),)).changes_nothing


@given(edits(), st.integers(0, 10**6), STRENGTHS, st.sampled_from([0.0, 1.0]))
def test_a_strength_set_is_read_back_and_forgotten_at_its_default(
    edit: Edit, meta: int, strength: float, default: float
) -> None:
    changed = edit.with_strength(meta, strength, default)
    assert changed.kind == ("meta" if edit.kind == "swap" else edit.kind)
    assert changed.strength(meta, default) == strength
    assert dict(changed.strengths).keys() - {meta} == dict(edit.without_swap().strengths).keys() - {
        meta
    }
    assert (meta in dict(changed.strengths)) == (strength != default)
    assert changed.options == edit.options
    back = changed.with_strength(meta, default, default)
    assert meta not in dict(back.strengths)
    if edit.kind == "meta" and meta not in dict(edit.without_swap().strengths):
        assert back == edit


@given(edits())
def test_an_edit_survives_json(edit: Edit) -> None:
    assert Edit.from_dict(edit.to_dict()) == edit
    assert Edit.from_dict(json.loads(json.dumps(edit.to_dict()))) == edit


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_json_as_itself(kind: str) -> None:
    edit = edit_of_kind(kind, ((3, 0.0), (5, 0.5)), keep_residual=True, position="all")
    back = Edit.from_dict(json.loads(json.dumps(edit.to_dict())))
    assert back == edit and back.kind == kind == edit.to_dict()["kind"]


def test_strengths_given_with_a_swap_are_checked_and_dropped() -> None:
    assert edit_of_kind("swap", ((3, 0.5),)) == LatentSwap()
    with pytest.raises(UserError) as raised:
        edit_of_kind("swap", ((3, 0.5), (3, 1.0)))
    assert "two strengths" in one_sentence(raised)


def test_an_edit_of_fewer_words_takes_the_defaults() -> None:
    assert Edit.from_dict({}) == NO_EDIT
    assert Edit.from_dict({"strengths": {"12": 0.5}}) == MetaLatentEdit(((12, 0.5),))


@given(
    st.floats().filter(lambda value: not abs(value) <= 2.0)  # NaN included
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_strength_out_of_range_is_refused(kind: Any, strength: float) -> None:
    with pytest.raises(UserError) as raised:
        edit_of_kind(kind, ((17, strength),))
    text = one_sentence(raised)
    assert "meta-latent 17" in text and "−2 to 2" in text


def test_two_strengths_for_one_meta_latent_are_refused() -> None:
    with pytest.raises(UserError) as raised:
        MetaLatentEdit(((3, 1.0), (3, 0.5)))
    assert "two strengths" in one_sentence(raised)


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "",
        "swap",
        3,
        ["kind"],
        {"colour": "red"},
        {"kind": "rename"},
        {"kind": None},
        {"kind": ["meta"]},
        {"position": "first"},
        {"strengths": None},
        {"strengths": [1, 2]},
        {"strengths": {"a": 1.0}},
        {"strengths": {"1": "much"}},
        {"strengths": {"1": None}},
        {"strengths": {"1": 3.0}},
        {"strengths": {"1": math.nan}},
        {"strengths": {"1": 10**400}},
        {"keep_residual": "yes"},
        {"keep_error": 1},
    ],
    ids=lambda values: repr(values)[:40],
)
def test_what_is_no_edit_is_refused(values: Any) -> None:
    with pytest.raises(UserError) as raised:
        Edit.from_dict(values)
    one_sentence(raised)


def test_what_all_edits_of_a_search_have_in_common_is_read_back() -> None:
    options = EditOptions("hundredfold", keep_residual=True, keep_error=False, position="all")
    assert EditOptions.from_dict(options.to_dict()) == options
    assert EditOptions.from_dict(EditOptions().to_dict()) == EditOptions()
    for edit in (LatentSwap(), MetaLatentEdit(((1, 0.5),))):
        with pytest.raises(UserError, match="give it no swap and no strengths"):
            EditOptions.from_dict(edit.to_dict())
