"""What every test of a command needs, and a small release for them."""

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metasae.sources.presets import PRESETS
from tests.small_release import Built


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`main` quietens libraries for the process it runs in: not for the tests after this one."""
    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def folder(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The release's own copy, which the preset "small" opens."""
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    monkeypatch.setitem(PRESETS, "small", replace(built.release.preset, weights=out))
    with built.release.open():
        yield out
