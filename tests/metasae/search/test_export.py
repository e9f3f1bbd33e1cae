"""A table that comes in pieces, in one file."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from metasae.errors import UserError
from metasae.search.export import check_output, export
from tests.builders import one_sentence


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, text in (
        (tmp_path / "out", "no ending"),
        (tmp_path / "out.xlsx", "no ending"),
        (file / "out.csv", "can't be written"),
        (file / "below" / "out.csv", "can't be written"),
    ):
        with pytest.raises(UserError) as raised:
            check_output(path)
        assert text in one_sentence(raised) and str(path) in str(raised.value)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path / "folder.csv")
    check_output(tmp_path / "new" / "out.PARQUET")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder.csv", "new"]


def test_in_csv_a_name_is_no_formula_and_a_number_stays_one(tmp_path: Path) -> None:
    schema = pa.schema([("source", pa.string()), ("change", pa.float32())])
    frame = pd.DataFrame({"source": ["=1+1", "Paris"], "change": [-0.5, 2.0]})
    about = {"asked": "he said,=1+1"}
    export(tmp_path / "out.csv", [frame], schema, about)
    note, *lines = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert lines == ["source,change", "'=1+1,-0.5", "Paris,2.0"]
    assert json.loads(note.removeprefix("# ")) == about and ",=" not in note
