"""Cause, Isolate and Disentangle by hand, and their intervals."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasae.ravel.scores import ALL, table

ATTRIBUTES = ("Country", "Language")


def triple(
    source: str, edited: str, asked: str, answer: str, method: str = "one", **more: Any
) -> dict[str, Any]:
    return {
        "seed": 0, "method": method, "edited": edited, "source": source, "target": "Oslo",
        "asked": asked, "template": "%s", "differs": True, "greedy": answer, "choice": answer,
    } | more  # fmt: skip


def scores(triples: list[dict[str, Any]], attribute: str, rule: str = "greedy", **more: Any) -> Any:
    made = table(pd.DataFrame(triples), ATTRIBUTES, **more)
    (row,) = made[(made["rule"] == rule) & (made["attribute"] == attribute)].to_dict("records")
    return row


BY_HAND = [
    triple("Lyon", "Country", "Country", "target"),
    triple("Lyon", "Country", "Country", "source"),
    triple("Rome", "Country", "Country", "target"),
    triple("Rome", "Country", "Country", "other", choice="target"),
    # The answers do not differ: whatever comes is no cause.
    triple("Rome", "Country", "Country", "source", differs=False),
    triple("Lyon", "Country", "Language", "source"),
    triple("Rome", "Country", "Language", "target"),
    triple("Rome", "Country", "Language", "source", differs=False),
    triple("Lyon", "Language", "Language", "target"),
    triple("Lyon", "Language", "Country", "other"),
]


def test_scores_by_hand() -> None:
    country = scores(BY_HAND, "Country")
    assert country["cause"] == 2 / 4 and country["isolate"] == 2 / 3
    assert country["disentangle"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert (country["prompts_cause"], country["prompts_isolate"]) == (4, 3)
    language = scores(BY_HAND, "Language")
    assert (language["cause"], language["isolate"]) == (1.0, 0.0)
    every = scores(BY_HAND, ALL)
    assert every["cause"] == pytest.approx((2 / 4 + 1) / 2)
    assert every["isolate"] == pytest.approx((2 / 3 + 0) / 2)
    assert (every["prompts_cause"], every["prompts_isolate"]) == (5, 4)


def test_each_rule_reads_its_own_answers() -> None:
    assert scores(BY_HAND, "Country", "choice")["cause"] == 3 / 4


def test_an_edit_for_all_attributes_counts_for_each() -> None:
    rows = [
        triple("Lyon", ALL, "Country", "target"),
        triple("Lyon", ALL, "Language", "source"),
    ]
    assert scores(rows, "Country")["disentangle"] == 1.0
    assert scores(rows, "Language")["disentangle"] == 0.0


def test_the_interval_is_over_sources() -> None:
    """All prompts of a source move together: the interval is that of two draws out of two."""
    rows = [triple("Lyon", "Country", "Country", "target")] * 50
    rows += [triple("Rome", "Country", "Country", "source")] * 50
    rows += [triple(name, "Country", "Language", "source") for name in ("Lyon", "Rome")]
    row = scores(rows, "Country")
    assert (row["cause_low"], row["cause_high"]) == (0.0, 1.0)
    assert (row["low"], row["high"]) == (0.5, 1.0)
    sure = scores([one | {"greedy": "target"} for one in rows[:100]] + rows[100:], "Country")
    assert (sure["cause_low"], sure["cause_high"]) == (1.0, 1.0)


def test_methods_are_compared_on_the_same_draws() -> None:
    better = [one | {"method": "better", "greedy": "target"} for one in BY_HAND]
    row = scores([one for one in (*BY_HAND, *better) if one["method"] == "one"], "Country")
    made = table(pd.DataFrame([*BY_HAND, *better]), ATTRIBUTES, "better")
    (one,) = made[
        (made["method"] == "one") & (made["attribute"] == "Country") & (made["rule"] == "greedy")
    ].to_dict("records")
    assert one["disentangle"] == row["disentangle"]
    assert one["more"] == pytest.approx((1.0 + 0.0) / 2 - row["disentangle"])
    (own,) = made[
        (made["method"] == "better") & (made["attribute"] == ALL) & (made["rule"] == "greedy")
    ].to_dict("records")
    assert (own["more"], own["more_low"], own["more_high"]) == (0.0, 0.0, 0.0)


def test_seeds_are_told_apart() -> None:
    rows = [
        triple("Lyon", "Country", "Country", "target"),
        triple("Lyon", "Country", "Language", "source"),
        triple("Lyon", "Country", "Country", "source", seed=1),
        triple("Lyon", "Country", "Language", "source", seed=1),
    ]
    assert scores(rows, "Country")["seeds"] == [1.0, 0.5]
    assert scores(rows, "Country")["disentangle"] == 0.75


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(ATTRIBUTES), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_doing_nothing_is_exactly_a_half(prompts: list[tuple[str, str, bool]]) -> None:
    rows = [
        triple(source, ALL, asked, "source", differs=differs) for source, asked, differs in prompts
    ]
    made = table(pd.DataFrame(rows), ATTRIBUTES)
    asked = {name for _, name, differs in prompts if differs}
    for row in made.to_dict("records"):
        about = row["attribute"]
        if about in asked and row["prompts_isolate"]:
            assert (row["cause"], row["isolate"], row["disentangle"]) == (0.0, 1.0, 0.5)
            assert row["low"] >= 0.5 - 1e-12 or np.isnan(row["low"])
