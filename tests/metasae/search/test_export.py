"""A table that comes in pieces, in one file."""

from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.search.export import check_output
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
