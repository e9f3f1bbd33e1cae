"""What breaks a job off, and what it has exported."""

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest


class Stop(Exception):
    """Something that goes wrong in the middle."""


def stopping(after: int) -> Callable[[str, float, str], None]:
    """A progress that breaks off at the given advance: the first report of more than before."""
    advances = itertools.count(1)
    reached = -1.0

    def report(stage: str, fraction: float, note: str = "") -> None:
        nonlocal reached
        if reached < 0.0:
            reached = fraction
        elif fraction > reached:
            reached = fraction
            if next(advances) == after:
                raise Stop

    return report


def read_export(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return table.to_pandas(), json.loads(table.schema.metadata[b"metasae"])
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        values = json.loads(text, parse_constant=lambda _: pytest.fail("no JSON"))
        return pd.DataFrame(values["rows"]), values["about"]
    first, *_ = text.splitlines()
    frame = pd.read_csv(path, skiprows=1, dtype={"pattern": str})
    rows = list(csv.reader(text.splitlines()[1:]))
    assert {len(row) for row in rows} == {len(frame.columns)}
    return frame, json.loads(first.removeprefix("# "))
