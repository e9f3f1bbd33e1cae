"""Which evidence, labels and text the explorer reads: the user's own first, else the shipped."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metasae.explorer import evidence
from metasae.explorer.explorer import META, Explorer
from metasae.lab.lab import Lab
from metasae.text import kept_windows

pytestmark = pytest.mark.real_model


@pytest.fixture
def own(lab: Lab, tmp_path: Path) -> Explorer:
    """Somebody who has collected the narrowest SAE's evidence only."""
    shipped = evidence.shipped_folder(lab.preset)
    for path in shipped.glob("*-576.*"):
        shutil.copy(path, tmp_path / path.name)
    return Explorer(lab, tmp_path, shipped)


def test_what_one_has_not_made_is_the_shipped(own: Explorer) -> None:
    for width in own.widths:
        assert own.evidence(width) is not None and own.table(str(width)) is not None
    assert own.table(META) is not None
    alone = Explorer(own.lab, own.folder)
    assert alone.evidence(576) is not None and alone.evidence(18432) is None
    assert alone.table(META) is None


def test_labels_of_another_meta_sae_are_passed_over(own: Explorer) -> None:
    shipped = evidence.shipped_folder(own.lab.preset)
    shutil.copy(shipped / "labels-meta.parquet", own.folder)
    (own.folder / "labels.json").write_text('{"meta_sae": "another"}')
    assert own.table(META) is not None  # the shipped ones
    assert Explorer(own.lab, own.folder).table(META) is None


def test_each_width_has_the_text_it_is_about(
    own: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(number: int) -> Any:
        return SimpleNamespace(tokens=torch.full((2, 3), number))

    mine, usual, asked = text(1), text(2), []
    monkeypatch.setattr(kept_windows, "own_text", lambda preset: mine)
    monkeypatch.setattr(kept_windows, "text_of", lambda *_: asked.append(1) or usual)
    about = {576: mine, 1152: usual, 2304: text(3)}
    for width, one in about.items():
        own._evidence[width] = SimpleNamespace(text=kept_windows.fingerprint(one))  # type: ignore[assignment]
    assert own.text(576) is mine and not asked
    assert own.text(1152) is usual and asked
    assert own.text(2304) is None
