"""The cache of the tests: apart from the user's, but for what is fetched or costly to make."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from metasae.sources.cache import cache_dir, search
from tests.own_cache import FETCHED, own_cache


def test_no_test_keeps_anything_in_the_users_cache() -> None:
    assert not search("0123456789ab").is_relative_to(user_cache_path("metasae"))
    assert {name for name in FETCHED if (cache_dir() / name).is_symlink()} == set(FETCHED)


def test_what_is_costly_is_shared_and_nothing_else(tmp_path: Path) -> None:
    shared, folder = tmp_path / "shared", tmp_path / "own"
    folder.mkdir()
    for name in ("text/a/windows.npz", "text/a/own.npz", "searches/1/job.json", "models/m/x"):
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_text(name)
    with own_cache(folder, shared):
        assert (folder / "text/a/windows.npz").read_text() == "text/a/windows.npz"
        assert (folder / "models/m/x").exists()
        assert not (folder / "text/a/own.npz").exists() and not (folder / "searches").exists()
        # Written as the library writes: a whole file takes the place of what is there.
        for name in ("text/a/own.npz", "text/b/windows.npz", "wheels/w.whl"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "part").write_text("new")
            os.replace(folder / "part", folder / name)
    assert (shared / "text/a/own.npz").read_text() == "text/a/own.npz"
    assert (shared / "text/b/windows.npz").read_text() == "new"
    assert (shared / "wheels/w.whl").read_text() == "new"
