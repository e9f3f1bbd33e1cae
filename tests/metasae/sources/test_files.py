"""Files that appear whole or not at all, and a sentence when they can't."""

import hashlib
import io
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from metasae.errors import UserError
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import (
    check_place,
    check_writable,
    expanded,
    json_text,
    json_values,
    need_space,
    read_json,
    remove,
    sha256,
    write_json,
    written_whole,
)
from tests.builders import everything_below, one_sentence

# Written whole.


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with written_whole(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent.parent == target.parent  # the same file system, so the move is atomic
    assert target.read_text() == "new"
    assert everything_below(tmp_path) == ["new", "new/file.txt"]


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with written_whole(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert everything_below(tmp_path) == ["file.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("old", "new"):
        with written_whole(target) as part:
            part.mkdir()
            (part / f"{content}.txt").write_text(content)
    assert everything_below(tmp_path) == ["folder", "folder/new.txt"]


@pytest.mark.parametrize("raised", [ValueError("no"), KeyboardInterrupt(), UserError("No.")])
@pytest.mark.parametrize("old", [True, False])
def test_an_exception_leaves_the_old_file_and_no_scratch(
    tmp_path: Path, raised: BaseException, old: bool
) -> None:
    target = tmp_path / "file.txt"
    if old:
        target.write_text("old")
    with pytest.raises(type(raised)), written_whole(target) as part:
        part.write_text("half")
        raise raised
    assert everything_below(tmp_path) == (["file.txt"] if old else [])
    assert not old or target.read_text() == "old"


@pytest.mark.parametrize("old", [True, False])
def test_an_exception_leaves_the_old_folder_and_no_scratch(tmp_path: Path, old: bool) -> None:
    target = tmp_path / "folder"
    if old:
        target.mkdir()
        (target / "old.txt").write_text("old")
    with pytest.raises(ValueError), written_whole(target) as part:
        part.mkdir()
        (part / "half.txt").write_text("half")
        raise ValueError
    assert everything_below(tmp_path) == (["folder", "folder/old.txt"] if old else [])


def test_a_full_disk_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(UserError) as raised, written_whole(target) as part:
        part.write_text("half")
        raise OSError(28, "No space left on device")
    text = one_sentence(raised)
    assert "No space left on device" in text and "nothing was changed" in text
    assert target.read_text() == "old" and everything_below(tmp_path) == ["file.txt"]


def test_a_folder_that_cant_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised, written_whole(tmp_path / "file" / "x"):
        raise AssertionError("never reached")
    assert "can't be written" in one_sentence(raised)


# Space, and what a file is.


def test_need_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(folder: Path) -> SimpleNamespace:
        asked.append(folder)
        return SimpleNamespace(free=5_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    need_space(tmp_path, 5_000_000, "Thinking")
    with pytest.raises(UserError) as raised:
        need_space(tmp_path, 5_000_001, "Thinking")
    text = one_sentence(raised)
    assert text.startswith(f"Thinking needs 5 MB in {tmp_path}, where 5 MB are free")
    assert CACHE_VARIABLE in text
    assert asked == [tmp_path, tmp_path]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    expected = hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert sha256(tmp_path / "file") == expected


# JSON, places, and paths people type.


def test_json_is_written_whole_and_read_back(tmp_path: Path) -> None:
    target = tmp_path / "new" / "values.json"
    values = {"city": "São Paulo", "list": [1, 2.5, None, True]}
    write_json(target, values)
    text = target.read_text("utf-8")
    assert json.loads(text) == values and text.endswith("}\n") and "São Paulo" in text
    with pytest.raises(TypeError):
        write_json(target, {"not": {"JSON"}})
    assert target.read_text("utf-8") == text
    assert everything_below(tmp_path) == ["new", "new/values.json"]


def test_what_json_has_no_number_for_is_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"São": [math.inf, (-math.inf, 1.5)], "n": {"x": math.nan}})
    text = (tmp_path / "a.json").read_text("utf-8")
    values = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert values == {"São": [None, [None, 1.5]], "n": {"x": None}}
    assert read_json(tmp_path / "a.json") == values and json_text(values) + "\n" == text


def test_json_is_utf_8_whatever_the_locale_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where files without a named encoding are in the code page."""
    plain = io.text_encoding
    monkeypatch.setattr(io, "text_encoding", lambda e, level=2: plain(e or "cp1252", level))
    (tmp_path / "a.json").write_bytes('{"a": "Łódź"}'.encode())
    assert read_json(tmp_path / "a.json") == {"a": "Łódź"}


def test_json_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised:
        write_json(tmp_path / "file" / "values.json", {})
    assert "can't be written" in one_sentence(raised)


def test_a_place_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "file.txt")
    assert everything_below(tmp_path) == ["new", "new/deep"]
    (tmp_path / "there").write_text("old")
    check_writable(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "old"


@pytest.mark.parametrize("below", ["x", "deeper/x"])
def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised:
        check_writable(tmp_path / "file" / below)
    text = one_sentence(raised)
    assert str(tmp_path / "file" / below) in text and "choose another place" in text


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    check_writable(tmp_path, folder=True)
    for target, folder, said in (
        (tmp_path, False, "is a folder; name a file"),
        (tmp_path / "file", True, "is a file; name a folder"),
    ):
        with pytest.raises(UserError, match=said) as raised:
            check_writable(target, folder=folder)
        one_sentence(raised)


def test_a_folder_without_permission_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)  # root may write anywhere
    with pytest.raises(UserError, match="Permission denied") as raised:
        check_writable(tmp_path / "x")
    one_sentence(raised)


def test_a_typed_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/mine") == tmp_path / "mine"
    assert expanded("mine/~") == Path("mine/~")
    assert expanded("") == Path()
    with pytest.raises(UserError, match="write the path in full") as raised:
        expanded("~nobody-of-this-name/mine")
    one_sentence(raised)


def test_a_folder_that_cant_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, moved = tmp_path / "folder", os.replace
    target.mkdir()
    (target / "old.txt").write_text("old")

    def failing(source: Path, to: Path) -> None:
        if source.name == "folder" and to == target:
            raise OSError(13, "Permission denied")
        moved(source, to)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UserError) as raised, written_whole(target) as part:
        part.mkdir()
    assert "nothing was changed" in one_sentence(raised)
    assert everything_below(tmp_path) == ["folder", "folder/old.txt"]


def test_space_is_looked_for_where_a_folder_will_be(tmp_path: Path) -> None:
    need_space(tmp_path / "not" / "yet", 1, "Thinking")
    with pytest.raises(UserError, match="or set ELSEWHERE to another folder"):
        need_space(tmp_path / "not" / "yet", 10**18, "Thinking", "ELSEWHERE")
    assert everything_below(tmp_path) == []


# Deleting.


def test_a_folder_is_deleted_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file.txt").write_text("x")
    (tmp_path / "other").mkdir()
    remove(folder)
    assert everything_below(tmp_path) == ["other"]
    remove(folder)  # whoever was quicker has done what was wanted
    assert everything_below(tmp_path) == ["other"]


def test_a_folder_that_cant_be_deleted_is_whole_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "file.txt").write_text("x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"mine can't be deleted \(Permission denied\)") as raised:
        remove(folder)
    one_sentence(raised)
    assert everything_below(tmp_path) == ["mine", "mine/file.txt"]


# A folder's place.


def test_a_folder_of_its_own_files_is_written_again(tmp_path: Path) -> None:
    own = ("facts-*.json", "labels.json")
    check_place(tmp_path / "new", own, "it")
    check_place(tmp_path, own, "it")
    for name in ("facts-12.json", "labels.json", ".labels.json.x1y2"):
        (tmp_path / name).touch()
    check_place(tmp_path, own, "it")


@pytest.mark.parametrize("name", ["thesis.txt", ".git", "facts-12.json.txt", "Labels.json"])
def test_a_folder_of_other_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "labels.json").touch()
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="holds other files") as raised:
        check_place(tmp_path, ("facts-*.json", "labels.json"), "a result")
    assert name in one_sentence(raised)


# JSON that somebody brought.


@pytest.mark.parametrize("content", [b"[" * 100_000, '{"a":' * 100_000, b"", b"\xff\xfe", "{"])
def test_what_is_no_json_is_a_value_error(content: str | bytes) -> None:
    with pytest.raises(ValueError):
        json_values(content)


def test_json_is_read() -> None:
    assert json_values(b'{"a": [1]}') == json_values('{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 300, "x/" * 3000, "~\0"])
def test_what_no_file_is_called_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="can't be the name") as raised:
        expanded(text)
    one_sentence(raised)
