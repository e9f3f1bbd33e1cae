"""The pages of a latent, a graph and a search hold what is known of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from metasae.errors import UserError
from metasae.explorer.latent_page import LatentPage
from metasae.exports.pages import GraphPage, SearchPage, search_page
from metasae.exports.to_html import TARGET
from metasae.lab.lab import Lab
from tests.metasae.exports.seen import HOSTILE, seen
from tests.metasae.exports.test_standalone_page import Reader


def read(thing: object, folder: Path) -> Reader:
    out = folder / "page.html"
    TARGET.export(thing, out)
    return Reader(out.read_text("utf-8"))


def test_a_latents_page(small_lab: Lab, tmp_path: Path) -> None:
    explorer = seen(small_lab, tmp_path / "none")
    one = LatentPage(explorer, small_lab.n_latents, 5)
    page = read(one, tmp_path)
    said = "".join(page.texts)
    assert HOSTILE in said and "script" not in page.tags
    for meta, activation in zip(one.pieces["meta"], one.pieces["activation"], strict=True):
        assert str(meta) in page.texts and f"{activation:.3f}" in page.texts
    assert page.tags.count("mark") == 3 and page.tags.count("svg") == 1
    assert small_lab.provenance.sae in said


def test_a_latent_nobody_saw_has_a_page(small_lab: Lab, tmp_path: Path) -> None:
    from metasae.explorer.explorer import Explorer

    explorer = Explorer(small_lab, tmp_path / "none")
    page = read(LatentPage(explorer, small_lab.n_latents, 6), tmp_path)
    assert "Where it fires" not in page.texts and "Nearest latents" in page.texts


def test_a_graphs_page(small_lab: Lab, tmp_path: Path) -> None:
    one = GraphPage(seen(small_lab, tmp_path / "none"), (5, 7))
    page = read(one, tmp_path)
    assert page.tags.count("svg") == 1 and page.tags.count("tr") == 1 + len(one.graph.edges)
    assert HOSTILE in "".join(page.texts)
    with pytest.raises(UserError, match="at least one latent"):
        read(GraphPage(one.explorer, ()), tmp_path)


SEARCH: dict[str, Any] = {
    "source": "Tokyo", "target": "Paris", "combinations": 4, "scored": 4, "seconds": 1.0,
    "remarks": ["A remark."], "sae": "sae-64@1",
    "patterns": [
        {
            "pattern": {"country": True, "language": False}, "margin": 1.25, "sentence": HOSTILE,
            "edit": {"strengths": {"7": 0.0}}, "reached_by": 0.25,
        },
        {
            "pattern": {"country": False, "language": False}, "margin": None, "sentence": "Same.",
            "edit": {"strengths": {}}, "reached_by": None,
        },
    ],
}  # fmt: skip


def test_a_searchs_page(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    path.write_text(json.dumps(SEARCH))
    page = read(SearchPage.read(path), tmp_path)
    assert "script" not in page.tags
    for text in ("country", "1.25", "7 → 0", HOSTILE, "nothing", "no change", "A remark."):
        assert text in page.texts


@pytest.mark.parametrize("broken", [[], {}, {"patterns": 3}, SEARCH | {"patterns": [{}]},
                                    SEARCH | {"combinations": "many"}])  # fmt: skip
def test_a_file_that_is_no_search_is_one_sentence(tmp_path: Path, broken: Any) -> None:
    path = tmp_path / "search.json"
    path.write_text(json.dumps(broken))
    with pytest.raises(UserError, match="holds no search"):
        SearchPage.read(path)
    with pytest.raises(UserError, match="can't be read"):
        SearchPage.read(tmp_path / "none.json")


def test_a_search_names_no_path_of_its_preset() -> None:
    text = search_page(SearchPage(SEARCH | {"preset": "/home/alice/mine.json"})).text()
    assert "mine" in text and "alice" not in text
