"""What every test of a command needs, and a small release for them."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metasae.sources.presets import PRESETS
from tests.builders import never
from tests.small_release import Built


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong must be said before anything slow begins."""
    work = never("work began before the words were read")
    for place in (
        "metasae.lab.lab.open_lab", "metasae.release.build.build",
        "metasae.training.base_sae.read_training_text", "metasae.saes.directions.open_directions",
        "metasae.training.base_sae.load_model",
    ):  # fmt: skip
        monkeypatch.setattr(place, work)


@pytest.fixture
def folder(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The release's own copy, which the preset "small" opens."""
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    monkeypatch.setitem(PRESETS, "small", replace(built.release.preset, weights=out))
    with built.release.open():
        yield out
