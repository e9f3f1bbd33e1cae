"""Texts in CSV stay texts in a spreadsheet, numbers stay numbers, and all comes back."""

import csv
import io
import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.sources.spreadsheets import cell, comment, csv_text, text_of

FORMULAS = (
    '=HYPERLINK("http://elsewhere.example","Paris")', "+1+1", "-2+3", "@SUM(A1)", "\t=1+1",
    "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "＋1", "－1", "＠x",
)  # fmt: skip

LEADING = tuple("=+-@\t\r\n＝＋－＠")

texts = st.text() | st.sampled_from(FORMULAS) | st.text("'=-+@\t a1,;\"\n")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_a_formula_is_a_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Paris", "a country (?)", "s…, S…", "'s", "''", "1=1", "—"])
def test_another_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


@pytest.mark.parametrize("value", [-1, -0.5, 0, 2.5, None, True, math.inf])
def test_a_number_stays_a_number(value: object) -> None:
    assert cell(value) is value


@given(texts)
def test_every_text_comes_back_and_none_begins_a_formula(text: str) -> None:
    written = cell(text)
    assert text_of(written) == text
    assert not written.lstrip(" ").startswith(LEADING)


@given(st.lists(texts, min_size=2, max_size=2, unique=True))
def test_two_texts_are_never_written_alike(two: list[str]) -> None:
    assert cell(two[0]) != cell(two[1])


@given(st.lists(st.tuples(texts, st.floats(width=64, allow_nan=False)), max_size=5))
def test_a_table_comes_back(rows: list[tuple[str, float]]) -> None:
    table = pd.DataFrame(rows, columns=["=label", "change"]).astype({"change": float})
    header, *back = csv.reader(io.StringIO(csv_text(table), newline=""))
    assert header == ["'=label", "change"]
    assert [(text_of(text), float(number)) for text, number in back] == rows


def test_kinds_of_columns() -> None:
    table = pd.DataFrame(
        {
            "a kind": pd.Categorical(["=a", "b"]),
            "mixed": pd.Series([-1, "=a"], dtype=object),
            "missing": pd.Series(["-", None], dtype="str"),
            "narrow": pd.Series([-0.1, 2.0], dtype="float32"),
            "whole": [-3, 4],
            "truth": [True, False],
        }
    )
    assert csv_text(table).splitlines() == [
        "a kind,mixed,missing,narrow,whole,truth",
        "'=a,-1,'-,-0.1,-3,True",
        "b,'=a,,2.0,4,False",
    ]
    assert list(table["a kind"]) == ["=a", "b"]  # the table itself is as it was


def test_columns_of_one_name_are_all_written() -> None:
    table = pd.DataFrame([["=a", "=b"]], columns=["x", "x"])
    assert csv_text(table).splitlines() == ["x,x", "'=a,'=b"]


@given(st.dictionaries(texts, texts | st.lists(st.integers() | texts), max_size=3))
def test_the_first_line_is_json_and_no_part_of_it_a_formula(about: dict[str, object]) -> None:
    line = comment(about)
    assert line.startswith("# ") and line.count("\n") == 1
    assert json.loads(line[2:]) == about
    # Taken apart at commas, or at semicolons where those part cells.
    for mark in ",;":
        assert not any(part.startswith(LEADING) for part in line[2:-1].split(mark))
