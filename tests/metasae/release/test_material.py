"""What a release is trained on, counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.errors import UserError
from metasae.release import material as module
from metasae.release.material import material, shipped_folder, text_used
from metasae.sources.presets import EMBEDDED, GPT2
from metasae.text.windows import Windows
from tests.builders import one_sentence


def test_documents_and_tokens_are_counted_by_hand() -> None:
    # Document 0 is two windows long; a window's start token is no text.
    windows = Windows(
        tokens=torch.zeros(5, 96, dtype=torch.int32),
        lengths=torch.tensor([96, 11, 6, 21, 9]),
        document=torch.tensor([0, 0, 1, 2, 3]),
        sources=("b", "a", "b", "b"),
        held_out=(False, False, True, False),
    )
    assert text_used(windows) == {
        "b": {
            "documents": 2, "tokens": 95 + 10 + 8, "held_out_documents": 1, "held_out_tokens": 20,
        },
        "a": {"documents": 1, "tokens": 5, "held_out_documents": 0, "held_out_tokens": 0},
    }  # fmt: skip
    assert list(text_used(windows)) == ["b", "a"]


def test_nothing_is_made_of_other_peoples_saes() -> None:
    assert shipped_folder(EMBEDDED) == EMBEDDED.weights
    with pytest.raises(UserError, match=r"gpt2-small are made elsewhere") as raised:
        shipped_folder(GPT2)
    one_sentence(raised)


def test_a_meta_sae_of_the_users_is_not_what_is_shipped() -> None:
    with pytest.raises(UserError, match=r"measure smollm2-135m, not smollm2-135m\+mine") as raised:
        shipped_folder(replace(EMBEDDED, meta_sae="mine"))
    one_sentence(raised)


def test_residuals_are_of_the_presets_text_in_its_own_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def collected(model: Any, text: Any, folder: Path, progress: Any) -> Any:
        return model, text, folder

    monkeypatch.setattr(module, "load_model", lambda preset, _: ("model", preset))
    monkeypatch.setattr(module, "text_of", lambda preset, model, progress: (preset, model))
    monkeypatch.setattr(module, "residuals_folder", lambda preset, text: Path("kept", preset.name))
    monkeypatch.setattr(module, "collect", collected)
    made: Any = material(EMBEDDED)
    assert made.model == ("model", EMBEDDED) and made.windows == (EMBEDDED, made.model)
    assert made.activations == (made.model, made.windows, Path("kept", EMBEDDED.name))
