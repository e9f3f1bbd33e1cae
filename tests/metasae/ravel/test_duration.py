"""How much more work a run is, counted by hand."""

import pytest

from metasae.errors import UserError
from metasae.ravel.duration import in_words, more_work
from metasae.ravel.study import Settings

ONE = Settings(quick=True, methods="nothing,mask-gradient", sources=4, steps=10)


def test_more_work_lies_between_the_smallest_and_the_largest_factor() -> None:
    assert more_work(ONE, 1, ONE, 1, 4) == (1.0, 1.0)
    # The facts are asked once, whatever is learned; steps and edits grow with the seeds.
    assert more_work(ONE, 3, ONE, 1, 4) == (1.0, 3.0)
    # Three times the names, five times the steps.
    more = Settings(quick=True, methods="nothing,mask-gradient", sources=12, steps=50)
    assert more_work(more, 1, ONE, 1, 4) == (1.0, 5.0)
    # Twice the methods that learn, in the usual 24 steps instead of 10; edits only double.
    wider = Settings(quick=True, methods="nothing,latent-swap,mask-gradient,DAS", sources=4)
    assert more_work(wider, 1, ONE, 1, 4)[1] == pytest.approx(24 / 10 * 2)


def test_learning_is_left_out_where_nothing_is_learned() -> None:
    still = Settings(quick=True, methods="nothing,latent-swap", sources=4)
    assert more_work(ONE, 1, still, 1, 4) == (1.0, 5 / 2)


def test_a_time_is_said_as_a_range() -> None:
    assert in_words(60.0, (2.0, 10.0)) == "2 min 00 s to 10 min 00 s"
    assert in_words(60.0, (1.0, 1.0)) == "about 1 min 00 s"


def test_a_method_there_is_none_of_is_named() -> None:
    with pytest.raises(UserError, match='"magic"'):
        more_work(Settings(methods="magic"), 1, ONE, 1, 4)
