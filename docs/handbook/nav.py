"""The site's menu as mkdocs.yml writes it, completed with what is made and what has arrived."""

from collections.abc import Callable, Collection
from typing import Any

from docs.handbook import command_line, errors, library, notebooks, sentences, words
from docs.handbook.links import BESIDE
from docs.handbook.sentences import ROOT

MADE: dict[str, Callable[[], str]] = {
    "errors.md": lambda: errors.page(sentences.read()),
    "glossary.md": words.page,
    "reference/command-line.md": command_line.page,
    "reference/library.md": library.public,
}
"""Page that is in no folder → what makes it."""

NOTEBOOKS, FLOORS = "NOTEBOOKS", "FLOORS"
"""What stands in the menu for the pages of the notebooks, and of the library's parts."""


def completed(nav: list[Any], awaited: Collection[str]) -> list[Any]:
    """The menu with all pages by name, without those that are awaited and not there.

    Args:
        nav: as in mkdocs.yml: a mapping of one title to a page or to more of the same, in a list.
    """
    whole = []
    for entry in nav:
        ((title, below),) = entry.items()
        if below == NOTEBOOKS:
            below = [{one.title: f"notebooks/{one.name}.md"} for one in notebooks.pages()]
        elif below == FLOORS:
            below = [{f"metasae.{part}": f"reference/{part}.md"} for part in library.floors()]
        elif isinstance(below, list):
            below = completed(below, awaited)
        elif below in awaited and not is_there(below):
            continue
        if below:
            whole.append({title: below})
    return whole


def is_there(page: str) -> bool:
    """Whether somebody has written a page."""
    return (ROOT / page if page in BESIDE else ROOT / "docs" / page).exists()
