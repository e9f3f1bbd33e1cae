"""A page that opens without a server and without a network: one HTML file, its pictures in it.

It is built as a tree of elements, so that a text from data is never markup.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import pandas as pd

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8888; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; padding: .5rem; background: #fff; }
svg { max-width: 100%; height: auto; }
mark { background: #e69f00; color: #1b1f24; }
footer { margin-top: 3rem; font-size: .875rem; overflow-wrap: anywhere; }
"""


class Page:
    """A page that is put together from top to bottom.

    Args:
        title: also its first heading.
    """

    def __init__(self, title: str) -> None:
        self._html = Element("html", lang="en")
        head = SubElement(self._html, "head")
        SubElement(head, "meta", charset="utf-8")
        SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        # Nothing is fetched or run, whatever a text says.
        SubElement(
            head, "meta", {"http-equiv": "Content-Security-Policy",
                           "content": "default-src 'none'; style-src 'unsafe-inline'"},
        )  # fmt: skip
        SubElement(head, "title").text = _plain(title)
        SubElement(head, "style").text = _STYLE
        self._body = SubElement(self._html, "body")
        SubElement(self._body, "h1").text = _plain(title)

    def heading(self, text: str) -> None:
        """A part begins."""
        SubElement(self._body, "h2").text = _plain(text)

    def paragraph(self, text: str) -> None:
        """A paragraph."""
        SubElement(self._body, "p").text = _plain(text)

    def tokens(self, tokens: Iterable[tuple[str, float]]) -> None:
        """A text, the tokens something fires on marked, their activation beside the pointer."""
        line = SubElement(self._body, "p")
        for token, activation in tokens:
            if activation:
                part = SubElement(line, "mark", title=f"{activation:.2f}")
            else:
                part = SubElement(line, "span")
            part.text = _plain(token)

    def table(self, table: pd.DataFrame) -> None:
        """A table, its columns' names as they are."""
        made = SubElement(self._body, "table")
        head = SubElement(made, "tr")
        for name in table.columns:
            SubElement(head, "th", scope="col").text = _plain(str(name))
        for row in table.itertuples(index=False):
            line = SubElement(made, "tr")
            for value in row:
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                cell = SubElement(line, "td", {"class": "number"} if is_number else {})
                cell.text = f"{value:.3f}" if isinstance(value, float) else _plain(str(value))

    def picture(self, svg: str, described: str) -> None:
        """A picture.

        Args:
            described: what it shows, for who can't see it.
        """
        figure = SubElement(self._body, "figure", role="img")
        figure.set("aria-label", _plain(described))
        figure.append(_without_namespace(ElementTree.fromstring(svg)))

    def made_with(self, about: Mapping[str, Any]) -> None:
        """What it came from, at its foot."""
        SubElement(self._body, "footer").text = _plain(
            "Made with " + json.dumps(about, ensure_ascii=False)
        )

    def text(self) -> str:
        """The file's content."""
        return "<!DOCTYPE html>\n" + ElementTree.tostring(self._html, "unicode", method="html")


def _plain(text: str) -> str:
    """Without control characters, which no page has a place for."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _without_namespace(picture: Element) -> Element:
    """An SVG's elements as HTML has them: by their plain names."""
    for one in picture.iter():
        one.tag = one.tag.rpartition("}")[2]
        for name in list(one.attrib):
            if "}" in name:  # links to elsewhere, of which our pictures have none
                del one.attrib[name]
    return picture


def renamed(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Some columns of a table under the names a reader sees, in that order."""
    columns: Sequence[str] = list(names)
    return table[columns].rename(columns=dict(names))
