"""What is counted of late, by whom and in all."""

import pytest

from workbench import tally
from workbench.tally import Tally


def test_it_counts_each_and_all_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    done = Tally(10.0)
    assert done.count() == done.count("Ann") == 0
    done.add("Ann")
    now[0] = 106.0
    done.add("Bob")
    done.add("Ann")
    assert (done.count("Ann"), done.count("Bob"), done.count("Cy"), done.count()) == (2, 1, 0, 3)
    now[0] = 110.0
    assert done.count("Ann") == 2
    now[0] = 110.1
    assert (done.count("Ann"), done.count("Bob"), done.count()) == (1, 1, 2)
    now[0] = 116.1
    assert done.count() == 0


def test_no_more_are_counted_than_may_be() -> None:
    done = Tally(10.0)
    assert [done.add_below(2, "Ann") for _ in range(3)] == [True, True, False]
    assert done.count("Ann") == 2 and done.add_below(2, "Bob")
