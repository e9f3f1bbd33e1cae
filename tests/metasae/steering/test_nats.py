"""Numbers of nats as they are read."""

import pytest

from metasae.steering.nats import nats, settled


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (-1.234, "−1.23", "−1.23"),
        (2.0, "2.00", "+2.00"),
        (0.0, "0.00", "0.00"),
        (-0.0, "0.00", "0.00"),
        (-0.0049, "0.00", "0.00"),
        (0.0049, "0.00", "0.00"),
        (-0.006, "−0.01", "−0.01"),
    ],
)
def test_two_decimals_and_never_a_minus_before_nothing(
    value: float, plain: str, signed: str
) -> None:
    assert (nats(value), nats(value, signed=True)) == (plain, signed)


def test_a_number_that_shows_something_is_left_alone() -> None:
    assert settled(-0.00512) == -0.00512 and settled(-0.004) == 0.0
    assert f"{settled(-0.004):+.2f}" == "+0.00" and f"{settled(-0.004):.2f}" == "0.00"
