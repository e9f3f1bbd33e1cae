"""Contexts as they are shown."""

from metasae.explorer.evidence import Snippet
from workbench.explore.contexts import snippets_html


def test_markup_in_a_context_is_shown_as_text() -> None:
    text = snippets_html(
        [Snippet((("<script>alert(1)</script>", 2.0), (" & more", 0.0)), "mine", False)], 4.0
    )
    assert "<script>" not in text and "&lt;script&gt;" in text and "&amp; more" in text
