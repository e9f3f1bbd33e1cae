"""The menu has every page, and no page that isn't there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.handbook import library, nav, notebooks
from docs.handbook.links import BESIDE
from docs.handbook.sentences import ROOT

WRITTEN = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
AWAITED = WRITTEN["extra"]["awaited"]


def pages(menu: list[Any]) -> Iterator[str]:
    for entry in menu:
        (below,) = entry.values()
        yield from [below] if isinstance(below, str) else pages(below)


def test_every_page_has_its_place_in_the_menu() -> None:
    docs = ROOT / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    there |= nav.MADE.keys() | set(filter(nav.is_there, BESIDE))
    there |= {f"reference/{part}.md" for part in library.floors()}
    there |= {f"notebooks/{one.name}.md" for one in notebooks.pages()}
    named = list(pages(nav.completed(WRITTEN["nav"], AWAITED)))
    assert set(named) == there, "name it under nav in mkdocs.yml"
    assert len(named) == len(set(named))
    assert set(AWAITED) <= set(pages(WRITTEN["nav"]))


def test_what_is_awaited_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "come.md").touch()
    (tmp_path / "CHANGELOG.md").touch()
    monkeypatch.setattr(nav, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "pages", lambda: [notebooks.NotebookPage("n", "A title", "")])
    monkeypatch.setattr(library, "floors", lambda: {"saes": ""})
    late = ["come.md", "late.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    menu = [{name: name} for name in late] + [{"Missing": "missing.md"}]
    whole = nav.completed(
        [{"A": menu}, {"B": "NOTEBOOKS"}, {"C": "FLOORS"}, {"D": [{"L": "late.md"}]}], late
    )
    assert whole == [
        {
            "A": [
                {"come.md": "come.md"},
                {"CHANGELOG.md": "CHANGELOG.md"},
                {"Missing": "missing.md"},
            ]
        },
        {"B": [{"A title": "notebooks/n.md"}]},
        {"C": [{"metasae.saes": "reference/saes.md"}]},
    ]
