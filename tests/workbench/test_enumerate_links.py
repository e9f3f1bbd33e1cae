"""What is searched, in a link of the Enumerate page."""

import pytest

from metasae.search.spec import Spec
from metasae.sources.presets import EMBEDDED
from metasae.steering.edits import EditOptions
from workbench.enumerate import choose


def test_a_damaged_link_falls_back_to_the_default() -> None:
    every = ["country", "language", "continent", "currency"]
    assert choose.from_query({"attributes": "colour", "strengths": "7"}) == (every, "whole")


@pytest.mark.parametrize("grid", list(choose.GRIDS))
def test_a_choice_survives_the_link(grid: str) -> None:
    removed, added = choose.GRIDS[grid]
    spec = Spec(
        EMBEDDED.opened, "Tokyo", "Paris", attributes=("country",),
        options=EditOptions(variant="hundredfold"),
        removed=removed, added=added,
    )  # fmt: skip
    assert choose.from_query(choose.to_query(spec)) == (["country"], grid)
