"""What MkDocs calls while it builds: adds the pages that are made, and leads links to them.

`GENERATED` pages are in no folder; ``mkdocs.yml`` names them in its ``nav`` as it does the others.
"""

from collections.abc import Callable
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from handbook import command_line, errors, library, notebooks, sentences, words
from handbook.links import BESIDE, within_site
from handbook.sentences import ROOT

GENERATED: dict[str, Callable[[], str]] = {
    "errors.md": lambda: errors.page(sentences.read()),
    "glossary.md": words.page,
    "reference/command-line.md": command_line.page,
    "reference/library.md": library.public,
}
"""Page → what makes it."""

NOTEBOOKS = "Notebooks"
"""Title in the ``nav`` under which the notebooks stand."""

AWAITED = "awaited"
"""Key of ``extra`` in ``mkdocs.yml``: pages that are left out of the ``nav`` while they aren't
there."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the ``nav``: drop what is still awaited, add notebooks and the library's floors."""
    config.nav = _completed(config.nav or [], config.extra.get(AWAITED, []))
    return config


def _completed(nav: list[Any], awaited: list[str]) -> list[Any]:
    whole = []
    for entry in nav:
        ((title, below),) = entry.items()
        if title == NOTEBOOKS:
            below = [{one.title: f"notebooks/{one.name}.md"} for one in notebooks.pages()]
        elif below == "FLOORS":
            below = [{f"metasae.{part}": f"reference/{part}.md"} for part in library.floors()]
        elif isinstance(below, list):
            below = _completed(below, awaited)
        elif below in awaited and not _there(below):
            continue
        if below:
            whole.append({title: below})
    return whole


def _there(page: str) -> bool:
    return (ROOT / page if page in BESIDE else ROOT / "docs" / page).exists()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    absent = _absent(config)
    made = {name: make() for name, make in GENERATED.items()}
    made |= {f"reference/{part}.md": text for part, text in library.floors().items()}
    for one in notebooks.pages():
        made[f"notebooks/{one.name}.md"] = within_site(
            one.text, f"notebooks/{one.name}.ipynb", absent
        )
    for name in filter(_there, BESIDE):
        made[name] = within_site((ROOT / name).read_text("utf-8"), name, absent)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead a written page's links to where they are on the site."""
    if page.file.generated_by is not None:
        return markdown
    return within_site(markdown, f"docs/{page.file.src_uri}", _absent(config))


def _absent(config: MkDocsConfig) -> set[str]:
    return {page for page in config.extra.get(AWAITED, []) if not _there(page)}
