"""A text as windows, kept once it is made."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
from metasae.lm.language_model import LanguageModel
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import Preset
from metasae.text import windows as windows_module
from metasae.text.document import Document
from metasae.text.kept_windows import fingerprint, own_text, text_of
from metasae.text.windows import Windows
from tests.builders import one_sentence
from tests.small_release import SmallRelease


@pytest.fixture
def preset(small_release: SmallRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return small_release.preset


def same(a: Windows, b: Windows) -> bool:
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(Windows)]
    return all(
        torch.equal(x, y) and x.dtype == y.dtype if isinstance(x, torch.Tensor) else x == y
        for x, y in pairs
    )


def test_the_usual_text_is_made_once(
    preset: Preset, small_model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [Document("names", "We saw Paris.", False), Document("x", "Kept.", True)]
    monkeypatch.setattr(windows_module, "default_documents", lambda progress: texts)
    made = text_of(preset, small_model)
    assert made.sources == ("names", "x")
    monkeypatch.setattr(windows_module, "default_documents", None)
    assert same(text_of(preset, small_model), made)
    assert own_text(preset) is None


def test_a_text_of_ones_own_is_read_anew_and_kept_apart(
    preset: Preset, small_model: LanguageModel, tmp_path: Path
) -> None:
    file = tmp_path / "mine.txt"
    prints = []
    for content in ("Tokyo is in Japan.", "Paris is in France.\n\nCairo is in Egypt."):
        file.write_text(content)
        made = text_of(preset, small_model, [file])
        kept = own_text(preset)
        assert kept is not None and same(kept, made)
        prints.append(fingerprint(made))
        assert re.fullmatch("[0-9a-f]{16}", prints[-1])
    assert len(made.tokens) == 2 and len(set(prints)) == 2
    assert not cache.windows(preset.kept_as, own=False).exists()


def test_a_damaged_file_is_said(preset: Preset) -> None:
    path = cache.windows(preset.kept_as, own=True)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK no archive")
    with pytest.raises(UserError, match="is damaged") as raised:
        own_text(preset)
    one_sentence(raised)
