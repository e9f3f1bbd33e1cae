"""Conditions of edits as values, in files and in links."""

import json

import pytest
from hypothesis import given

from metasae.errors import UserError
from metasae.steering.conditions import ALWAYS, LONGEST, Condition
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.link import LinkError, edit_from_text, edit_to_text
from tests.builders import one_sentence
from tests.strategies import CONDITIONS


def test_without_a_condition_files_and_links_are_those_of_ever() -> None:
    swap = LatentSwap(options=EditOptions(position="all"))
    assert "when" not in swap.to_dict() and edit_to_text(swap) == "swap~all"
    assert "when" not in repr(swap)


def test_a_condition_in_files_links_and_words() -> None:
    when = Condition(2.5, "city", including=True)
    edit = NO_EDIT.with_options(position="all", when=when)
    assert edit_to_text(edit) == "all~above_2.5~from_city"
    assert edit.to_dict()["when"] == {"above": 2.5, "after": "city", "including": True}
    assert edit_to_text(NO_EDIT.with_options(when=Condition(after="a~b c"))) == "after_a%7Eb%20c"
    assert when.words == ("only where it fires above 2.5", "only from “city” on")
    assert Condition(0.0, "city").words == ("only where it fires above 0", "only after “city”")


@given(CONDITIONS)
def test_a_condition_survives_file_and_link(when: Condition) -> None:
    edit = LatentSwap(options=EditOptions(when=when))
    assert Edit.from_dict(json.loads(json.dumps(edit.to_dict()))) == edit
    assert edit_from_text(edit_to_text(edit)) == edit
    assert eval(repr(edit)) == edit  # the code that a citation's Python has


def test_a_token_is_what_can_be_included() -> None:
    assert Condition(after="  ", including=True) == ALWAYS


@pytest.mark.parametrize("above", [-1.0, float("nan"), float("inf")])
def test_an_activation_out_of_range_is_refused(above: float) -> None:
    with pytest.raises(UserError) as raised:
        Condition(above)
    assert "0 or more" in one_sentence(raised)


def test_a_long_text_is_refused_in_files_and_links_too() -> None:
    Condition(after="a" * LONGEST)
    for read in (
        lambda: Condition(after="a" * (LONGEST + 1)),
        lambda: edit_from_text("after_" + "a" * (LONGEST + 1)),
        lambda: Edit.from_dict({"when": {"after": "a" * (LONGEST + 1)}}),
    ):
        with pytest.raises(UserError) as raised:
            read()
        one_sentence(raised)


@pytest.mark.parametrize("word", ["above_", "above_-1", "above_x", "after_", "until_city"])
def test_a_damaged_word_of_a_link_is_refused(word: str) -> None:
    with pytest.raises(LinkError):
        edit_from_text(word)


def test_what_may_be_waited_for_fits_into_a_link_in_any_script() -> None:
    for text in ("京" * (LONGEST // 3), "🙂" * (LONGEST // 4), "é" * (LONGEST // 2)):
        edit = MetaLatentEdit(options=EditOptions(when=Condition(after=text)))
        assert len(edit_to_text(edit)) < 300 and edit_from_text(edit_to_text(edit)) == edit
    with pytest.raises(UserError, match="bytes at most"):
        Condition(after="🙂" * (LONGEST // 4 + 1))
