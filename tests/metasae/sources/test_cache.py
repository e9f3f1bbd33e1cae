"""Where everything is kept."""

from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.sources import cache as cache_module
from metasae.sources.cache import CACHE_VARIABLE, cache_dir
from tests.builders import one_sentence


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


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
