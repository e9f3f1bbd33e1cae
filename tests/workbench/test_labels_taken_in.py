"""Files of labels that are about something else are refused."""

import json
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections
from metasae.explorer.explorer import META, Explorer
from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from workbench.explore.label import _taken_in


@pytest.fixture
def explorer(small_default: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return Explorer(small_default, tmp_path)


def explanations(*indices: int) -> bytes:
    return json.dumps([{"index": one, "description": "a word"} for one in indices]).encode()


def test_explanations_are_labels_of_latents(explorer: Explorer) -> None:
    taken = _taken_in(explorer, "16", explanations(3, 15))
    assert taken.labels == {"16": {"3": "a word", "15": "a word"}}
    with pytest.raises(UserError, match="latents, not meta-latents"):
        _taken_in(explorer, META, explanations(3))


@pytest.mark.parametrize(("kind", "index"), [("16", 16), ("16", -1), (META, 64)])
def test_numbers_out_of_range_are_refused(explorer: Explorer, kind: str, index: int) -> None:
    made = explorer.lab.provenance
    file = Corrections(made.sae, made.meta_sae, {kind: {str(index): "a word"}})
    with pytest.raises(UserError, match=f"name number {index}"):
        _taken_in(explorer, kind, file.to_json().encode())
    if kind != META:
        with pytest.raises(UserError, match=f"name number {index}"):
            _taken_in(explorer, kind, explanations(0, index))


def test_labels_of_a_width_there_is_none_of_are_refused(explorer: Explorer) -> None:
    made = explorer.lab.provenance
    file = Corrections(made.sae, made.meta_sae, {"77": {"1": "a word"}})
    with pytest.raises(UserError, match='SAE of "77" latents'):
        _taken_in(explorer, "16", file.to_json().encode())
