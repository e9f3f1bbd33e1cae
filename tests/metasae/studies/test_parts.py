"""A study's parts are made once, and again where they are damaged."""

from pathlib import Path

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.studies.parts import Parts
from tests.builders import never


def table(value: int) -> pd.DataFrame:
    return pd.DataFrame({"way": ["one"], "fve": [float(value)]})


def test_a_part_is_made_once(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "run")
    assert parts.table("nearest of 576", lambda: table(3)).equals(table(3))
    again = Parts(tmp_path / "run").table("nearest of 576", never("it is kept"))
    assert again.equals(table(3))
    assert parts.table("nearest of 1,152 / seed 2", lambda: table(4)).equals(table(4))


def test_a_damaged_part_is_made_again(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.table("one", lambda: table(3))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert parts.table("one", lambda: table(5)).equals(table(5))
    assert parts.table("one", never("it is kept")).equals(table(5))


def test_what_failed_leaves_nothing(tmp_path: Path) -> None:
    def fails() -> pd.DataFrame:
        raise UserError("No text.")

    with pytest.raises(UserError):
        Parts(tmp_path / "run").table("one", fails)
    assert not list(tmp_path.rglob("*.parquet"))


def test_without_a_folder_nothing_is_kept() -> None:
    parts = Parts()
    assert parts.table("one", lambda: table(1)).equals(table(1))
    assert parts.table("one", lambda: table(2)).equals(table(2))
    assert parts.checkpoint("one") is None


def test_trainings_have_files_of_their_own(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    one, other = parts.checkpoint("seed 1"), parts.checkpoint("seed 2")
    assert one is not None and one != other and one.parent == tmp_path
    assert one == Parts(tmp_path).checkpoint("seed 1")


def test_what_others_made_is_kept_and_found(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.found("one") is None
    assert parts.keep("one", table(3)).equals(table(3))
    found = parts.found("one")
    assert found is not None and found.equals(table(3))
    assert parts.table("one", never("it is kept")).equals(table(3))
    assert Parts().keep("one", table(3)).equals(table(3)) and Parts().found("one") is None
