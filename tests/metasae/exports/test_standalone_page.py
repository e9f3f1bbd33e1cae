"""A page of its own: everything is in it, nothing is fetched, no text is markup."""

import re
from html.parser import HTMLParser

import pandas as pd

from metasae.explorer.svg import svg_of
from metasae.exports.standalone_page import Page, renamed

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)> & \x00 \"'"


class Reader(HTMLParser):
    """The elements and the texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.given: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.given += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_with(text: str) -> str:
    page = Page(text)
    page.heading(text)
    page.paragraph(text)
    page.tokens([(text, 1.5), (text, 0.0)])
    page.table(pd.DataFrame({text: [text, 0.12345]}))
    page.picture(
        svg_of({"data": {"values": [{"name": text}]}, "mark": "text",
                "encoding": {"text": {"field": "name"}}}, {"from": text}), text,
    )  # fmt: skip
    page.made_with({"from": text})
    return page.text()


def test_a_text_is_never_markup() -> None:
    hostile, harmless = Reader(page_with(HOSTILE)), Reader(page_with("harmless"))
    assert hostile.tags == harmless.tags
    assert "script" not in hostile.tags and "img" not in hostile.tags
    assert not [name for name, _ in hostile.given if name.startswith("on")]
    assert sum("alert(1)" in text for text in hostile.texts) >= 7


def test_nothing_is_fetched() -> None:
    text = page_with("some")
    for name, value in Reader(text).given:
        assert name not in ("src", "href", "xlink:href"), (name, value)
        assert name in ("content", "xmlns") or "://" not in (value or ""), (name, value)
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text and text.startswith("<!DOCTYPE html>")


def test_numbers_are_short_and_tokens_marked() -> None:
    text = page_with("some")
    assert ">0.123<" in text and '<mark title="1.50">some</mark><span>some</span>' in text


def test_columns_are_renamed_in_order() -> None:
    table = pd.DataFrame({"a": [1], "b": [2], "c": [3]})
    assert list(renamed(table, {"c": "C", "a": "A"}).columns) == ["C", "A"]
