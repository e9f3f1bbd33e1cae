"""Links that lead out of ``docs/``: to the repository's other files, of which the site has some."""

import posixpath
import re
from pathlib import Path

from docs.handbook.sentences import ROOT

BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "NOTICE.md")
"""Files of the repository's root that are pages of the site too."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def within_site(text: str, page: str, root: Path = ROOT) -> str:
    """A page's Markdown with every link as it is on the site.

    A link to a file of the repository that the site has leads to its page; of one that the site
    doesn't have, the words are left. Links to nothing stay: the build says so.

    Args:
        page: the file, below the root, that the text is of; its links are relative to it.
    """
    here = posixpath.dirname(page)
    on_site = posixpath.dirname(page.removeprefix("docs/"))

    def on_this_site(link: re.Match[str]) -> str:
        words, target, place = link.groups()
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        whole = posixpath.normpath(posixpath.join(here, target))
        if whole.startswith("docs/"):
            there = whole.removeprefix("docs/")
        elif whole in BESIDE:
            there = whole
        elif whole.startswith("notebooks/") and whole.endswith(".ipynb"):
            there = f"{whole.removesuffix('.ipynb')}.md"
        else:
            return str(words) if (root / whole).exists() else link[0]
        return f"[{words}]({posixpath.relpath(there, on_site or '.')}{place or ''})"

    return _LINK.sub(on_this_site, text)


def fetched(html: str) -> list[str]:
    """Addresses of other hosts that a browser fetches for a page: not those it links to."""
    elements = r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?(https?:[^\"'\s>]+)"
    return re.findall(elements, html)
