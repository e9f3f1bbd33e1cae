"""Documents of the user's own."""

from pathlib import Path

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.text.documents import own_documents as files
from tests.builders import one_sentence


def test_own_files_are_cut_at_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    (tmp_path / "b.md").write_text("four")
    (tmp_path / "c.bin").write_bytes(b"\xff\xfe")
    assert [one.text for one in files([tmp_path])] == ["one\ntwo", "three", "four"]
    with pytest.raises(UserError, match="can't be read as UTF-8"):
        list(files([tmp_path / "c.bin"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no text in"):
        list(files([tmp_path / "empty"]))


def test_a_dataset_is_read_or_said_in_one_sentence(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": ["first", "  ", "second"]})
    (tmp_path / "mine").mkdir()
    rows.to_parquet(tmp_path / "mine" / "train.parquet")
    assert [one.text for one in files([Path(f"hf:{tmp_path}/mine")])] == ["first", "second"]
    rows.rename(columns={"text": "words"}).to_parquet(tmp_path / "mine" / "train.parquet")
    with pytest.raises(UserError, match="has no column text"):
        list(files([Path(f"hf:{tmp_path}/mine")]))
    with pytest.raises(UserError) as raised:
        list(files([Path(f"hf:{tmp_path}/nothing")]))
    assert "could not be read" in one_sentence(raised)
