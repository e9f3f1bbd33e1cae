"""What MkDocs calls while it builds: adds the pages that are made, and leads links to them."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.handbook import library, notebooks
from docs.handbook.links import BESIDE, fetched, within_site
from docs.handbook.nav import MADE, completed
from docs.handbook.sentences import ROOT


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the menu."""
    config.nav = completed(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {name: make() for name, make in MADE.items()}
    made |= {f"reference/{part}.md": text for part, text in library.floors().items()}
    for one in notebooks.pages():
        made[f"notebooks/{one.name}.md"] = within_site(one.text, f"notebooks/{one.name}.ipynb")
    for name in BESIDE:
        made[name] = within_site((ROOT / name).read_text("utf-8"), name)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead a written page's links to where they are on the site."""
    if page.file.generated_by is not None:
        return markdown
    return within_site(markdown, f"docs/{page.file.src_uri}")


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that a browser would fetch something for from elsewhere."""
    if elsewhere := fetched(output):
        raise PluginError(f"{page.file.src_uri} fetches {', '.join(elsewhere)} from elsewhere.")
    return output
