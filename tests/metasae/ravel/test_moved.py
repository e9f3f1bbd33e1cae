"""What edits moved, counted by hand: pair by pair, and attribute by attribute."""

from typing import Any

import pandas as pd

from metasae.ravel.moved import by_pair, leak
from metasae.ravel.scores import ALL
from tests.metasae.ravel.test_scores import ATTRIBUTES, triple

ROWS = [
    triple("Lyon", "Country", "Country", "target"),
    triple("Lyon", "Country", "Country", "source", choice="target"),
    triple("Lyon", "Country", "Language", "target"),
    triple("Lyon", "Country", "Language", "other"),
    triple("Rome", "Country", "Country", "source", differs=False),
    triple("Rome", "Country", "Language", "source"),
    triple("Lyon", "Language", "Language", "source", method="two"),
    triple("Lyon", ALL, "Country", "target", method="swap"),
]


def cell(table: pd.DataFrame, *where: str) -> Any:
    rule, method, edited, asked = where
    (row,) = table[
        (table["rule"] == rule)
        & (table["method"] == method)
        & (table["edited"] == edited)
        & (table["asked"] == asked)
    ].to_dict("records")
    return row["moved"], row["stayed"], row["prompts"]


def test_pairs_are_counted_in_prompts() -> None:
    edits = pd.DataFrame(ROWS[:6])
    counts = by_pair(edits, "Country").to_dict("records")
    assert counts == [
        {"source": "Lyon", "target": "Oslo", "moved": 1, "wanted": 2, "stayed": 0, "others": 2},
        {"source": "Rome", "target": "Oslo", "moved": 0, "wanted": 0, "stayed": 1, "others": 1},
    ]
    assert by_pair(edits, "Country", "choice")["moved"].tolist() == [2, 0]
    assert by_pair(edits, "Language")["moved"].tolist() == [1, 0]
    assert by_pair(edits.iloc[:0], "Country").empty


def test_a_leak_is_what_moves_beside_what_is_edited() -> None:
    table = leak(pd.DataFrame(ROWS), ATTRIBUTES)
    # Of both cities' equal country nothing can be seen to move: it is not counted.
    assert cell(table, "greedy", "one", "Country", "Country") == (1 / 2, 1 / 2, 2)
    assert cell(table, "greedy", "one", "Country", "Language") == (1 / 3, 1 / 3, 3)
    assert cell(table, "choice", "one", "Country", "Country") == (1.0, 0.0, 2)
    assert cell(table, "greedy", "two", "Language", "Language") == (0.0, 1.0, 1)
    assert cell(table, "greedy", "swap", ALL, "Country") == (1.0, 0.0, 1)
    # One row a question that was asked, in the order of the methods and the attributes.
    greedy = table[table["rule"] == "greedy"]
    assert list(zip(greedy["method"], greedy["edited"], greedy["asked"], strict=True)) == [
        ("one", "Country", "Country"),
        ("one", "Country", "Language"),
        ("two", "Language", "Language"),
        ("swap", ALL, "Country"),
    ]
    only_language = leak(pd.DataFrame(ROWS), ["Language"])
    assert set(only_language["asked"]) == {"Language"}
