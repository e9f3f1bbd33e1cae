"""The site's menu as mkdocs.yml writes it, completed with what is made."""

from collections.abc import Callable
from typing import Any

from docs.handbook import command_line, errors, library, notebooks, sentences, words

MADE: dict[str, Callable[[], str]] = {
    "errors.md": lambda: errors.page(sentences.read()),
    "glossary.md": words.page,
    "reference/command-line.md": command_line.page,
    "reference/library.md": library.public,
}
"""Page that is in no folder → what makes it."""

NOTEBOOKS, FLOORS = "NOTEBOOKS", "FLOORS"
"""What stands in the menu for the pages of the notebooks, and of the library's parts."""


def completed(nav: list[Any]) -> list[Any]:
    """The menu with all pages by name.

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
            below = completed(below)
        whole.append({title: below})
    return whole
