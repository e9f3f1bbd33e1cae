"""Labels people wrote, as a file, and those from Neuronpedia."""

import json

import pytest

from metasae.errors import UserError
from metasae.explorer.corrections import Corrections, explained
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
