"""The menu has every page, and no page that isn't there."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from docs.handbook import library, nav, notebooks
from docs.handbook.links import BESIDE
from docs.handbook.sentences import ROOT

WRITTEN = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def pages(menu: list[Any]) -> Iterator[str]:
    for entry in menu:
        (below,) = entry.values()
        yield from [below] if isinstance(below, str) else pages(below)


def test_every_page_has_its_place_in_the_menu() -> None:
    docs = ROOT / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    there |= nav.MADE.keys() | set(BESIDE)
    there |= {f"reference/{part}.md" for part in library.floors()}
    there |= {f"notebooks/{one.name}.md" for one in notebooks.pages()}
    named = list(pages(nav.completed(WRITTEN["nav"])))
    assert set(named) == there, "name it under nav in mkdocs.yml"
    assert len(named) == len(set(named))


def test_what_is_made_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "pages", lambda: [notebooks.NotebookPage("n", "A title", "")])
    monkeypatch.setattr(library, "floors", lambda: {"saes": ""})
    menu = [{"A": [{"One": "one.md"}, {"B": "NOTEBOOKS"}]}, {"C": "FLOORS"}]
    assert nav.completed(menu) == [
        {"A": [{"One": "one.md"}, {"B": [{"A title": "notebooks/n.md"}]}]},
        {"C": [{"metasae.saes": "reference/saes.md"}]},
    ]
