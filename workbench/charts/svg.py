"""The charts of outcomes as one SVG file, a pinned edit's beside the other."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from metasae.explorer.svg import svg_of

_WIDTH = 560
"""Pixels of a chart that takes the width it is given on screen."""


def side_by_side(
    charts: Sequence[tuple[Mapping[str, Any], Sequence[str], Sequence[str]]],
    about: Mapping[str, object],
    footer: Sequence[str],
) -> str:
    """Charts as one SVG file.

    Args:
        charts: for Vega-Lite, each with the lines above it: those in bold, and those below them.
        about: what it came from, kept in the file's description.
        footer: lines below all.
    """
    return svg_of(
        {
            "$schema": alt.SCHEMA_URL,
            "background": "white",
            "padding": 16,
            "title": {
                "text": list(footer), "anchor": "start", "orient": "bottom", "fontSize": 11,
                "fontWeight": "normal", "offset": 14,
            },
            "hconcat": [_part(*chart) for chart in charts],
            "spacing": 40,
            "config": {"view": {"stroke": None}},
        },
        about,
    )  # fmt: skip


def _part(spec: Mapping[str, Any], title: Sequence[str], subtitle: Sequence[str]) -> dict[str, Any]:
    """A chart that stands in another: without what only a whole one has."""
    part = {key: value for key, value in copy.deepcopy(dict(spec)).items()
            if key not in ("$schema", "config", "background")}  # fmt: skip
    if part.get("width") == "container":
        part["width"] = _WIDTH
    part["title"] = {
        "text": list(title), "subtitle": list(subtitle), "anchor": "start", "fontSize": 16,
        "subtitleFontSize": 12, "subtitlePadding": 6, "offset": 12,
    }  # fmt: skip
    return part
