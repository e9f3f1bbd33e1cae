"""What is searched, in a link of the Enumerate page."""

import pytest

from metasae.search.spec import Spec
from metasae.sources.presets import EMBEDDED
from metasae.steering.edits import EditOptions
from workbench.enumerate import choose


def test_a_damaged_link_falls_back_to_the_default() -> None:
    every = ["country", "language", "continent", "currency"]
    assert choose.from_query({"attributes": "colour", "strengths": "7"}) == (every, "whole")
    assert not choose.strict_from_query({"moved": "perhaps"})


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("grid", list(choose.GRIDS))
def test_a_choice_survives_the_link(grid: str, strict: bool) -> None:
    removed, added = choose.GRIDS[grid]
    spec = Spec(
        EMBEDDED.opened, "Tokyo", "Paris", attributes=("country",),
        options=EditOptions(variant="hundredfold"),
        removed=removed, added=added, strict=strict,
    )  # fmt: skip
    query = choose.to_query(spec)
    assert choose.from_query(query) == (["country"], grid)
    assert choose.strict_from_query(query) == strict and ("moved" in query) == strict
