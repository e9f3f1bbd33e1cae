"""The pictures of studies on a page: in its colours, as wide as there is room.

A study draws its pictures for paper, of a fixed width.
"""

import copy
from collections.abc import Mapping
from typing import Any

from workbench.charts.ink import LIGHT, Ink

Spec = dict[str, Any]

WRAPPED = 20
"""Letters after which the name of a row goes on in the next line."""

_AROUND, _TITLE = 76, 24
"""Pixels of the axis and the legend around a plot, and of a title above it."""

_WIDTH, _BESIDE, _NARROWEST = 420, 120, 300
"""Pixels of a plot whose width isn't said, of what stands beside a plot, of a chart at least."""

_ROOMY, _LINE = 280, 22
"""Pixels of a plot from which on a legend has two columns, and of a line of it."""

_MARKS = ("#009E73", "#CC79A7", "#F0E442")
"""Of the palette, after a theme's own."""


def on_screen(spec: Mapping[str, Any], ink: Ink = LIGHT) -> list[Spec]:
    """A picture as charts that each take the width they are given.

    Args:
        spec: for Vega-Lite. A picture in facets of one field becomes a chart for each of its
            values; pictures beside one another or in a column, a chart each.
    """
    whole = copy.deepcopy(dict(spec))
    return [_fitted(part, ink) for part in _parts(whole)]


def rooms(spec: Mapping[str, Any]) -> list[int]:
    """Pixels that each of the charts of `on_screen` is given where there are so many."""
    widths = [part.get("width", _WIDTH) for part in _parts(copy.deepcopy(dict(spec)))]
    return [max(_NARROWEST, width + _BESIDE) for width in widths]


def _parts(spec: Spec) -> list[Spec]:
    shared = {name: spec[name] for name in ("data", "datasets", "transform") if name in spec}
    for way in ("hconcat", "vconcat", "concat"):
        if way in spec:
            return [part for one in spec[way] for part in _parts(shared | one)]
    by = spec.get("facet", {})
    by = by if "field" in by else by.get("row", by.get("column", {}))
    if "field" not in by:
        return [spec]
    field = by["field"]
    charts = []
    for value in _values(spec, field):
        kept = {"filter": {"field": field, "equal": value}}
        one = shared | spec["spec"]
        charts.append(
            one | {
                "transform": [*shared.get("transform", []), kept,
                              *spec["spec"].get("transform", [])],
                "title": str(value),
            }
        )  # fmt: skip
    return charts


def _values(spec: Spec, field: str) -> list[Any]:
    """What a field of the data is, each once, in its order."""
    data = spec.get("data", {})
    rows = data.get("values") or spec.get("datasets", {}).get(data.get("name"), [])
    return list(dict.fromkeys(row[field] for row in rows if field in row))


def _named_in_legend(spec: Spec) -> list[Any]:
    """What the colours of a chart stand for."""
    for layer in (spec, *spec.get("layer", [])):
        colour = layer.get("encoding", {}).get("color", {})
        if "field" in colour and colour.get("legend", {}) is not None:
            return _values(spec, colour["field"])
    return []


def _fitted(spec: Spec, ink: Ink) -> Spec:
    """A chart as wide as its place, in the colours of a theme."""
    spec["width"] = "container"
    if isinstance(spec.get("height"), int | float):
        # On paper that of the plot alone, on a page that of the whole.
        spec["height"] += _AROUND + (_TITLE if "title" in spec else 0)
        spec["height"] += _LINE * (len(_named_in_legend(spec)) // 2)
    spec["background"] = "transparent"
    for layer in (spec, *spec.get("layer", [])):
        _wrap(layer)
    axis = {"labelColor": ink.text, "titleColor": ink.text, "gridColor": ink.faint,
            "domainColor": ink.other, "tickColor": ink.other, "labelFontSize": 12,
            "titleFontSize": 12, "titleFontWeight": "normal"}  # fmt: skip
    words = {"labelColor": ink.text, "titleColor": ink.text, "labelFontSize": 12}
    spec["config"] = {
        "axis": axis,
        # In more columns names are cut off: in two at 400 pixels, in one within a card there.
        "legend": words | {"orient": "top", "columns": {"expr": f"width < {_ROOMY} ? 1 : 2"}},
        "title": {"color": ink.text, "fontSize": 13, "fontWeight": "normal", "anchor": "start"},
        "view": {"stroke": None},
        "mark": {"color": ink.source},
        "bar": {"binSpacing": 0},
        "rule": {"color": ink.text},
        "text": {"color": ink.text},
        "range": {"category": [ink.source, ink.target, ink.other, *_MARKS]},
    }
    return spec


def _wrap(layer: Spec) -> None:
    """Have names beside rows stand in several lines: at 400 pixels one would leave no room."""
    up = layer.get("encoding", {}).get("y", {})
    if up.get("type") not in ("nominal", "ordinal") or up.get("axis", {}) is None:
        return
    lines = f"split(replace(datum.label, /(.{{{WRAPPED},}}?) /g, '$1\\n'), '\\n')"
    up["axis"] = up.get("axis", {}) | {"labelExpr": lines, "labelLimit": 8 * WRAPPED}
