"""A chart as an SVG file that says what it came from."""

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

_SVG = "http://www.w3.org/2000/svg"


def svg_of(spec: Mapping[str, Any], about: Mapping[str, object]) -> str:
    """A chart as SVG.

    Args:
        spec: the chart, for Vega-Lite.
        about: what it came from, kept in the file's description as JSON.
    """
    drawn = vl_convert.vegalite_to_svg(
        _printable(spec), vl_version=".".join(alt.SCHEMA_VERSION.split(".")[:2])
    )
    picture = ElementTree.fromstring(drawn)
    description = ElementTree.Element(f"{{{_SVG}}}desc")
    note = {name: str(value) for name, value in about.items()}
    description.text = json.dumps(note, ensure_ascii=False)
    picture.insert(0, description)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(picture, encoding="unicode") + "\n"


def _printable(values: Any) -> Any:
    """The same without the control characters XML has no place for."""
    if isinstance(values, str):
        return "".join(letter for letter in values if letter.isprintable())
    if isinstance(values, Mapping):
        return {name: _printable(value) for name, value in values.items()}
    return [_printable(value) for value in values] if isinstance(values, list) else values
