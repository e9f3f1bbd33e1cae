"""A table that comes in pieces, written to one file with what it is about."""

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metasae.errors import UserError
from metasae.sources.files import check_writable, written_whole
from metasae.sources.spreadsheets import cell, comment

FORMATS = (".parquet", ".csv", ".json")
"""What `export` writes, by the file's ending."""

KEY = "metasae"
"""Under which a Parquet file's schema says what it is, as JSON."""


def check_output(path: Path) -> None:
    """See that a file can be written, before hours go into what is to be in it.

    Raises:
        UserError: for an ending that is no format, a folder, or a place that can't be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path} has no ending that says how to write it: {', '.join(FORMATS)}.")
    check_writable(path)


def export(
    path: Path, frames: Iterable[pd.DataFrame], schema: pa.Schema, about: dict[str, Any]
) -> None:
    """Write a table that comes in pieces, with what it is about; the ending says the format.

    Raises:
        UserError: see `check_output`.
    """
    check_output(path)
    ending, note = path.suffix.lower(), json.dumps(about, ensure_ascii=False)
    tables = (pa.Table.from_pandas(frame, schema, preserve_index=False) for frame in frames)
    with written_whole(path) as part:
        if ending == ".parquet":
            noted = schema.with_metadata({KEY: note})
            with pq.ParquetWriter(part, noted, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table.cast(noted))
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            if ending == ".csv":
                file.write(comment(about))
                lines = csv.writer(file)
                lines.writerow(map(cell, schema.names))
                for table in tables:
                    lines.writerows(zip(*map(_cells, table.columns), strict=True))
                return
            file.write(f'{{"about": {note},\n"rows": [')
            before = "\n"
            for table in tables:
                for row in table.to_pylist():
                    file.write(before + json.dumps(_finite(row), ensure_ascii=False))
                    before = ",\n"
            file.write("\n]}\n")


def _cells(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values if pa.types.is_primitive(column.type) else list(map(cell, values))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows neither NaN nor infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
