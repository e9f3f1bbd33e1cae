"""The bars of lessons."""

import re
from typing import Any

import pytest
import vl_convert

from metasae.lessons.lesson import Bar, Bars
from workbench.charts.lessons import bars_chart


def drawn(bars: Bars) -> list[str]:
    spec: dict[str, Any] = bars_chart(bars).to_dict()
    return re.findall(
        r"<text[^>]*>([^<]*)</text>", vl_convert.vegalite_to_svg(spec | {"width": 300})
    )


@pytest.mark.parametrize(
    ("value", "read"), [(67.8, "20"), (0.66, "0.2"), (2304.0, "1,000"), (18432.0, "5,000")]
)
def test_a_scale_is_read_in_plain_numbers(value: float, read: str) -> None:
    words = drawn(Bars("activation", (Bar("Tokyo", value), Bar("Kyoto", value / 2))))
    assert read in words and not [one for one in words if re.search(r"\de[+−-]?\d", one)]


def test_shares_are_read_in_percent() -> None:
    words = drawn(Bars("share", (Bar("Tokyo", 0.5),), most=1.0, percent=True))
    assert "40%" in words
