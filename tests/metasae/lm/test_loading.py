"""The model brought here once; a damaged copy is said."""

from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.lm import loading
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model, model_folder, prepare_model
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED
from tests.builders import never
from tests.metasae.lm.prompts import PROMPTS, tokens_of


def test_the_second_start_fetches_nothing(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "fetch_wheel", never("the cached copy must do"))
    assert prepare_model(EMBEDDED) == model_folder(EMBEDDED)
    again = load_model(EMBEDDED)
    tokens = tokens_of(model, PROMPTS[0])
    assert torch.equal(again.residual(tokens), model.residual(tokens))


def test_a_damaged_copy_is_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    folder = model_folder(EMBEDDED)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"is damaged; delete that folder"):
        load_model(EMBEDDED)
