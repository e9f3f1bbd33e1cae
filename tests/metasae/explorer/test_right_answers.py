"""Scores by hand, and that each lies in its interval; delphi's are read in `test_delphi_files`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.explorer.right_answers import of_intruders, of_judged


def test_by_hand() -> None:
    # 3 of 4 that fire, 1 of 2 that don't: (0.75 + 0.5) / 2; TP 3, FP 1, FN 1.
    pairs = [(True, True)] * 3 + [(True, False), (False, True), (False, False), (False, None)]
    found = of_judged(pairs)
    assert (found.value, found.f1, found.count, found.unanswered) == (0.625, 0.75, 6, 1)
    assert of_intruders([True, False, None, False]).value == pytest.approx(1 / 3)
    assert of_judged([(True, None)]).high == 1.0


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.none(), st.booleans())), max_size=60))
def test_a_score_lies_in_its_interval(pairs: list[tuple[bool, bool | None]]) -> None:
    found = of_judged(pairs)
    assert 0 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1
    assert found.count + found.unanswered == len(pairs)
