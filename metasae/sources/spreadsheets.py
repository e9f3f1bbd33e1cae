"""CSV whose texts a spreadsheet shows and does not compute.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab for a formula, and a
formula may call elsewhere. Labels, names and prompts are anybody's, so such a text gets an
apostrophe before it; numbers stay as they are.
"""

import json
import re
from typing import Any, TypeVar

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

T = TypeVar("T")

_SIGNS = "=+@＝＋－＠-"
"""What begins a formula; the wide ones of East Asian keyboards too."""

_FORMULA = re.compile(rf"'*\s*[\t\r\n{_SIGNS}]")
"""Apostrophes before it count: so one can be told from one of ours."""

_INSIDE = re.compile(rf"([,;\t])([{_SIGNS}])")
"""What would begin a cell of a line that is not quoted."""


def cell(value: T) -> T | str:
    """What a cell is written as: a text that would be a formula with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def text_of(written: str) -> str:
    """The text a cell was made of: the inverse of `cell` for every text."""
    return written[1:] if written[:1] == "'" and _FORMULA.match(written) else written


def comment(about: dict[str, Any]) -> str:
    """A line of JSON behind ``# ``, as the first of a CSV file.

    A spreadsheet takes it apart at its commas; no part begins as a formula does.
    """
    note = json.dumps(about, ensure_ascii=False)
    return f"# {_INSIDE.sub(_spelt, note)}\n"


def _spelt(one: re.Match[str]) -> str:
    return rf"{one[1]}\u{ord(one[2]):04x}"


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, without its index."""
    safe = table.set_axis([cell(str(name)) for name in table.columns], axis=1)
    for place, kind in enumerate(table.dtypes):
        if not (is_numeric_dtype(kind) or is_bool_dtype(kind)):
            safe.isetitem(place, table.iloc[:, place].map(cell).to_list())
    # With lines that end so, a carriage return in a text is quoted: else it would begin a row.
    return str(safe.to_csv(index=False, lineterminator="\r\n"))
