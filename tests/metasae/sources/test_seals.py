"""A file that changed is noticed; one that didn't is not read again."""

import os
from pathlib import Path

import pytest

from metasae.sources import files, seals
from metasae.sources.seals import RECORD, Seals, broken, is_sealed, seal
from tests.builders import never


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"d": 4}')
    (tmp_path / "weights").write_bytes(bytes(range(200)))
    seal(tmp_path)
    return tmp_path


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_nothing_is_read_that_did_not_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_sealed(folder)
    monkeypatch.setattr(seals, "sha256", never("it has not changed"))
    assert broken(folder) == []


@pytest.mark.parametrize("name", ["config.json", "weights"])
def test_a_bit_a_cut_and_a_file_that_is_gone_are_noticed(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    flipped(folder / name)
    assert broken(folder) == [name]
    (folder / name).write_bytes(whole[:-1])
    assert broken(folder) == [name]
    (folder / name).unlink()
    assert broken(folder) == [name]
    (folder / name).write_bytes(whole)
    assert broken(folder) == []


def test_a_copy_with_other_times_is_read_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(folder / "weights", (1, 1))
    assert broken(folder) == []
    monkeypatch.setattr(seals, "sha256", never("it was read"))
    assert broken(folder) == []


def test_what_can_not_be_noted_is_read_every_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(folder / "weights", (1, 1))
    before = (folder / RECORD).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(files.tempfile, "mkdtemp", _read_only)
        assert broken(folder) == []
        flipped(folder / "weights")
        assert broken(folder) == ["weights"]
    assert (folder / RECORD).read_bytes() == before


def _read_only(**_: object) -> str:
    raise OSError(30, "Read-only file system")


def test_a_damaged_record_is_noticed_and_none_is_no_damage(folder: Path) -> None:
    for text in ("{", "[]", '{"weights": {"size": 1}}', '{"weights": 3}'):
        (folder / RECORD).write_text(text)
        assert broken(folder) == [RECORD]
    (folder / RECORD).unlink()
    assert broken(folder) == [] and not is_sealed(folder)


def test_a_hash_that_is_known_is_held_against(folder: Path, tmp_path: Path) -> None:
    known = files.sha256(folder / "weights")
    one = Seals(tmp_path / "elsewhere" / "record.json")
    assert not one.holds("w", folder / "weights", "0" * 64) and one.names == ()
    assert one.holds("w", folder / "weights", known)
    assert Seals(tmp_path / "elsewhere" / "record.json").names == ("w",)
