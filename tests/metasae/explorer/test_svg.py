"""A chart as an SVG file."""

import json
from typing import Any
from xml.etree import ElementTree

import altair as alt
import pandas as pd

from metasae.explorer.svg import svg_of

SVG = "{http://www.w3.org/2000/svg}"


def spec(word: str) -> dict[str, Any]:
    table = pd.DataFrame({"x": [1.0], "word": [word]})
    made: dict[str, Any] = alt.Chart(table).mark_text().encode(x="x:Q", text="word:N").to_dict()
    return made


def test_it_draws_the_chart_and_says_what_it_came_from() -> None:
    picture = ElementTree.fromstring(svg_of(spec("Köln <b>"), {"sae": "x@1", "link": "a&b"}))
    assert picture.tag == f"{SVG}svg"
    assert "Köln <b>" in [one.text for one in picture.iter(f"{SVG}text")]
    note = picture.find(f"{SVG}desc")
    assert note is not None and json.loads(note.text or "") == {"sae": "x@1", "link": "a&b"}


def test_control_characters_have_no_place_in_it() -> None:
    picture = ElementTree.fromstring(svg_of(spec("a\x01b"), {}))
    assert "ab" in [one.text for one in picture.iter(f"{SVG}text")]
