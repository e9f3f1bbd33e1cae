"""Contexts as they are shown."""

import re

import pytest

from metasae.explorer.evidence import Snippet
from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.explore.contexts import WRITTEN, behind, snippets_html


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", as the accessibility guidelines define it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("ink", [LIGHT, DARK], ids=["light", "dark"])
def test_highlighted_tokens_stand_out_in_both_themes(ink: Ink) -> None:
    shares = [number / 50 for number in range(51)]
    assert min(contrast(ink.text, behind(share, ink)) for share in shares) >= 4.5
    # And the colours are told apart: from the paper, and weak from strong.
    assert contrast(ink.paper, behind(0.0, ink)) > 1.05
    assert contrast(behind(0.0, ink), behind(1.0, ink)) > 1.3
    assert behind(2.0, ink) == behind(1.0, ink) and behind(-1.0, ink) == behind(0.0, ink)
    assert contrast(ink.other, ink.paper) >= 4.5  # numbers and tags


@pytest.mark.parametrize("ink", [LIGHT, DARK], ids=["light", "dark"])
def test_a_mark_has_the_themes_text_on_the_colour_of_its_strength(ink: Ink) -> None:
    tokens = ((" weak", 1.0), (" silent", 0.0), (" strong", 4.0))
    made = snippets_html([Snippet(tokens, "x", False)], 4.0, ink)
    marks = re.findall(r'background:(#\w+);color:(#\w+)[^>]*title="([^"]+)">(\w+)<', made)
    assert marks == [
        (behind(0.25, ink), ink.text, "activation 1.0", "weak"),
        (behind(1.0, ink), ink.text, "activation 4.0", "strong"),
    ]


def test_markup_in_a_context_is_shown_as_text() -> None:
    text = snippets_html(
        [Snippet((("<script>alert(1)</script>", 2.0), (" & more", 0.0)), "<mine>", False)], 4.0
    )
    assert "<script>" not in text and "&lt;script&gt;" in text and "&amp; more" in text
    assert "<mine>" not in text and "&lt;mine&gt;" in text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("city names", WRITTEN),
        ("titles", WRITTEN),
        ("wikipedia-en", "Wikipedia"),
        ("factbook", "World Factbook"),
        ("mine.txt", "mine.txt"),
    ],
)
def test_a_context_says_where_it_is_from(source: str, says: str) -> None:
    made = snippets_html([Snippet(((" Tokyo", 1.0),), source, False)], 4.0)
    assert made.count(f">{says}</span>") == 1
    assert ("border:1px" in made) is (says == WRITTEN)
