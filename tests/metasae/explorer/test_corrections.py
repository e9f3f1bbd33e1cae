"""Labels people wrote, as a file, and those from Neuronpedia."""

import json
from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections, explained, load_corrections, save_corrections
from metasae.sources import cache
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import PRESETS
from tests.builders import one_sentence


def test_corrections_are_shared_as_a_file() -> None:
    mine = Corrections("sae@1", "meta@2", {}).with_label("meta", 5, "  Japan \n and more ")
    assert mine.labels == {"meta": {"5": "Japan and more"}}
    again = Corrections.from_json(mine.to_json())
    assert again == mine
    theirs = Corrections("sae@1", "meta@2", {"meta": {"5": "Nippon", "6": "yen"}})
    assert mine.merged(theirs).labels == {"meta": {"5": "Nippon", "6": "yen"}}
    assert mine.with_label("meta", 5, "").labels == {"meta": {}}


def test_labels_of_another_sae_are_refused() -> None:
    mine = Corrections("sae@1", "meta@2", {})
    with pytest.raises(UserError) as raised:
        mine.merged(Corrections("sae@9", "meta@2", {}))
    assert "sae@9" in one_sentence(raised)
    with pytest.raises(UserError, match="meta-SAE other"):
        mine.merged(Corrections("sae@1", "other", {}))


PRESET = PRESETS["smollm2-135m"]


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of one's own: the folder of the kept labels."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "labels"


def test_labels_of_other_saes_are_not_written_over(kept: Path) -> None:
    mine = Corrections("sae@1", "meta@2", {"meta": {"5": "Łódź 日本"}})
    save_corrections(PRESET, mine)
    later = load_corrections(PRESET, "sae@9", "meta@2")
    assert later.labels == {}
    save_corrections(PRESET, later.with_label("meta", 5, "other"))
    assert load_corrections(PRESET, "sae@1", "meta@2") == mine
    assert load_corrections(PRESET, "sae@9", "meta@2").labels == {"meta": {"5": "other"}}
    assert len(list(kept.iterdir())) == 2


def test_labels_kept_by_an_earlier_version_are_read(kept: Path) -> None:
    mine = Corrections("sae@1", "meta@2", {"meta": {"5": "Łódź"}})
    old = cache.corrected_labels(PRESET.kept_as, PRESET.meta_sae)
    kept.mkdir()
    old.write_bytes(mine.to_json().encode())
    assert load_corrections(PRESET, "sae@1", "meta@2") == mine
    save_corrections(PRESET, mine.with_label("meta", 5, "Lodz"))
    assert load_corrections(PRESET, "sae@1", "meta@2").labels == {"meta": {"5": "Lodz"}}
    assert old.read_bytes() == mine.to_json().encode()


def test_a_damaged_file_of_labels_is_named() -> None:
    save_corrections(PRESET, Corrections("sae@1", "meta@2", {}))
    (path,) = cache.corrected_labels(PRESET.kept_as, PRESET.meta_sae).parent.iterdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError) as raised:
        load_corrections(PRESET, "sae@1", "meta@2")
    assert str(path) in one_sentence(raised)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"labels": 3}', '{"sae": "a", "meta_sae": "b", "labels": {"m": {"x": 1}}}'],
)
def test_a_file_that_holds_no_labels_is_refused(content: str) -> None:
    with pytest.raises(UserError) as raised:
        Corrections.from_json(content)
    assert "no file of labels" in one_sentence(raised)


def test_neuronpedias_files_are_read() -> None:
    rows = [
        {"index": "7", "description": "cities"},
        {"feature": 8, "description": "x"},
        {"index": 7, "description": "again"},
    ]
    expected = {"7": "cities", "8": "x"}
    assert explained(json.dumps(rows)) == expected
    assert explained("\n".join(map(json.dumps, rows)).encode()) == expected


@pytest.mark.parametrize(
    "content",
    ["", "\n", "[]", "{}", "3", '[{"index": 1}]', '[{"index": "x", "description": "a"}]'],
)
def test_another_file_than_neuronpedias_is_refused(content: str) -> None:
    with pytest.raises(UserError, match="no file of Neuronpedia") as raised:
        explained(content)
    one_sentence(raised)
