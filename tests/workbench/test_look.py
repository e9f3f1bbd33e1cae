"""The face can be read in both themes, and the mark is a picture."""

import re
import tomllib
import xml.etree.ElementTree as ET
from itertools import product
from pathlib import Path

import pytest

from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.look import NAME, mark, wordmark

ROOT = Path(__file__).parents[2]
THEMES = tomllib.loads((ROOT / "workbench/.streamlit/config.toml").read_text("utf-8"))["theme"]
SHEET = (ROOT / "workbench/look.css").read_text("utf-8")

READABLE = 4.5
"""Contrast that text needs, by the accessibility guidelines' level AA."""


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(share * v for share, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def in_sheet(name: str, theme: str) -> str:
    """A colour of the style sheet."""
    (found,) = re.findall(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\);", SHEET)
    return str(found[theme == "dark"])


def test_contrast_is_measured() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str) -> None:
    colours = THEMES[theme]
    papers = (colours["backgroundColor"], colours["secondaryBackgroundColor"])
    inks = [colours[name] for name in colours if name.endswith("extColor")]
    assert len(inks) == 4
    for ink, paper in product((*inks, colours["primaryColor"], in_sheet("quiet", theme)), papers):
        assert contrast(ink, paper) >= READABLE, (ink, paper)
    assert contrast(in_sheet("on-accent", theme), colours["primaryColor"]) >= READABLE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_style_sheet_has_the_themes_own_colours(theme: str) -> None:
    colours = {name: value.lower() for name, value in THEMES[theme].items()}
    assert in_sheet("accent", theme) == colours["primaryColor"]
    assert in_sheet("paper", theme) == colours["backgroundColor"]
    assert in_sheet("quiet", theme) == colours["grayTextColor"]


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_the_mark_is_drawn_in_the_themes_ink(ink: Ink) -> None:
    for picture in (mark(ink), wordmark(ink)):
        root = ET.fromstring(picture)
        fills = [one.attrib["fill"] for one in root if one.tag.endswith("rect")]
        assert fills == [ink.other, ink.source, ink.target]
    (name,) = [one for one in ET.fromstring(wordmark(ink)) if one.tag.endswith("text")]
    assert name.text == NAME and name.attrib["fill"] == ink.text
