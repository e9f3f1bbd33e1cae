"""Prompts are told apart by what the unedited model answers them with."""

import math

import pandas as pd
import pytest

from metasae.ravel.certainty import by_certainty


def triple(method: str, asked: str, template: str, came: str, nats: float) -> dict[str, object]:
    return {
        "seed": 0, "method": method, "edited": "all", "source": "Lyon", "target": "Kyoto",
        "asked": asked, "template": template, "differs": True, "greedy": came, "choice": came,
        "source_nats": nats,
    }  # fmt: skip


SURE, UNSURE = math.log(0.9), math.log(0.3)

TRIPLES = pd.DataFrame(
    [
        triple("nothing", "country", "a", "source", SURE),
        triple("nothing", "country", "b", "source", UNSURE),
        triple("nothing", "language", "c", "source", SURE),
        triple("nothing", "language", "d", "source", UNSURE),
        # What the edit itself makes of an answer's probability does not count.
        triple("swap", "country", "a", "target", -9.0),
        triple("swap", "country", "b", "source", -0.1),
        triple("swap", "language", "c", "source", float("nan")),
        triple("swap", "language", "d", "other", -0.1),
    ]
)


@pytest.mark.parametrize(
    ("sure", "attribute", "cause", "isolate"),
    [(True, "country", 1.0, 1.0), (False, "country", 0.0, 0.0), (True, "all", 0.5, 0.5)],
)
def test_each_side_is_scored_by_itself(
    sure: bool, attribute: str, cause: float, isolate: float
) -> None:
    (row,) = (
        one
        for one in by_certainty(TRIPLES, ["country", "language"])
        if (one["sure"], one["method"], one["rule"], one["attribute"])
        == (sure, "swap", "greedy", attribute)
    )
    assert (row["cause"], row["isolate"]) == (cause, isolate)


def test_without_the_unedited_model_nothing_is_told_apart() -> None:
    assert by_certainty(TRIPLES[TRIPLES["method"] == "swap"], ["country", "language"]) == []
