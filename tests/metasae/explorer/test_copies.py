"""Which contexts copy each other: by hand, and against a search through all their runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.explorer.copies import AFTER, BEFORE, RUN, CopyFinder, span
from tests.metasae.explorer.gathered import LONGEST, text_of

Row = list[int]


def copies(one: Row, at: int, other: Row, place: int) -> bool:
    """Whether two contexts copy each other; peaks are positions behind the start token."""
    finder = CopyFinder(text_of([one, other]))
    seen: set[int] = set()
    assert finder.adds(seen, 0, at)
    return not finder.adds(seen, 1, place)


def test_a_context_is_what_stands_around_its_peak_without_the_start_token() -> None:
    assert (BEFORE, AFTER) == (16, 8)
    assert span(20, 90) == range(4, 29)
    assert span(3, 90) == range(1, 12) and span(20, 23) == range(4, 23)


def test_eight_shared_tokens_make_a_copy_and_seven_do_not() -> None:
    shared = [101, 102, 103, 104, 105, 106, 107, 108]
    one, other = [1, 2, 3, *shared, 4], [5, 6, 7, 8, 9, *shared, 10]
    assert copies(one, 11, other, 13)
    # The same tokens in other places, and around other peaks.
    assert copies(one, 12, other, 14)
    assert not copies([1, 2, 3, *shared[1:], 4], 10, other, 13)
    other[8] = 99
    assert not copies(one, 11, other, 13)


def test_what_stands_far_from_the_peak_is_not_compared() -> None:
    shared = list(range(101, 109))
    one = [*shared, *range(1, 20)]
    # The shared tokens are at 1 … 8; a peak at 17 sees all of them, at 18 seven.
    assert copies(one, 17, [*shared, *range(21, 40)], 17)
    assert not copies(one, 18, [*shared, *range(21, 40)], 17)


def test_near_the_start_all_that_was_read_is_compared() -> None:
    """Two texts that begin with the same name: up to it the model has read the same."""
    assert copies([7, 8, 1, 2, 3], 2, [7, 8, 4, 5, 6], 2)
    assert not copies([7, 8, 1, 2, 3], 2, [9, 8, 4, 5, 6], 2)
    # The name alone is no copy of the name in the middle of a text.
    assert not copies([7, 8], 2, [1, 2, 3, 7, 8], 5)
    # Tokens of the later peak's that the other's go on with.
    assert copies([7, 8, 1, 2, 3], 2, [7, 8, 1, 2, 9], 4)


def test_padding_is_not_compared() -> None:
    assert not copies([1, 2], 2, [3, 4], 2)


def by_search(one: Row, at: int, other: Row, place: int) -> bool:
    """The same by comparing every run of one with every run of the other."""

    def runs(row: Row, peak: int) -> set[tuple[int, ...]]:
        begin, end = max(0, peak - 1 - BEFORE), min(len(row), peak + AFTER)
        found = {tuple(row[i : i + RUN]) for i in range(begin, end - RUN + 1)}
        return found | {tuple(row[:upto]) for upto in range(peak, min(end, RUN - 1) + 1)}

    return not runs(one, at).isdisjoint(runs(other, place))


rows = st.lists(st.integers(0, 1), min_size=1, max_size=LONGEST - 1)


@given(rows, rows, st.data())
def test_copies_are_those_a_search_finds(one: Row, other: Row, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(one)))
    place = data.draw(st.integers(1, len(other)))
    assert copies(one, at, other, place) == by_search(one, at, other, place)
    assert copies(other, place, one, at) == copies(one, at, other, place)


@pytest.mark.parametrize("token", [0, 49_151, 2**31 - 1])
def test_any_token_can_be_told_from_none(token: int) -> None:
    assert not copies([token], 1, [token, token], 2) and copies([token], 1, [token, 5], 1)
