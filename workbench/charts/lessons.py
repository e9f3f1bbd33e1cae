"""The pictures of lessons: bars to be read from afar."""

from typing import Any

import altair as alt
import pandas as pd

from metasae.lessons.lesson import Bars
from workbench.charts.ink import LIGHT, Ink

_ROW, _AXIS = 46, 60
"""Pixels of a bar with its name above, and of the axis below."""


def bars_chart(bars: Bars, ink: Ink = LIGHT) -> alt.LayerChart | alt.FacetChart:
    """A bar each: its name above, its value at its end."""
    colours = {"source": ink.source, "target": ink.target, "other": ink.other}
    table = pd.DataFrame(
        {
            "row": range(len(bars.bars)),
            "name": [one.name for one in bars.bars],
            "value": [one.value for one in bars.bars],
            "told": [one.told for one in bars.bars],
            "colour": [colours[one.tone] for one in bars.bars],
            "start": 0.0,
        }
    )
    table["description"] = table["name"] + ": " + table["told"]
    most = bars.most or max([*table["value"], 1e-9])
    # A little more, so that the longest bar's value has room beside it.
    scale = alt.Scale(domain=[min(0.0, float(table["value"].min())), 1.15 * most], nice=False)
    axis = alt.Axis(
        labelColor=ink.text, titleColor=ink.text, titleFontWeight="normal", gridColor=ink.faint,
        domain=False, tickCount=4, labelFontSize=12, titleFontSize=13,
        titleLimit=alt.ExprRef("width"), format=".0%" if bars.percent else ",.6~g",
    )  # fmt: skip
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    value, start = (
        alt.X(f"{one}:Q", title=bars.title, scale=scale, axis=axis) for one in ("value", "start")
    )
    base = alt.Chart(table).encode(y=y)
    drawn = base.mark_bar(height=12, yOffset=10, cornerRadiusEnd=2).encode(
        x=start,
        x2="value:Q",
        color=alt.Color("colour:N", scale=None),
        description="description:N",
        tooltip=[alt.Tooltip("name:N"), alt.Tooltip("told:N", title="value")],
    )
    text: dict[str, Any] = {"align": "left", "baseline": "middle", "color": ink.text, "aria": False}
    told = base.mark_text(**text, dx=6, dy=10, fontSize=14, fontWeight="bold").encode(
        x=value, text="told:N"
    )
    names = base.mark_text(**text, dx=1, dy=-8, fontSize=14, limit=alt.ExprRef("width - 2")).encode(
        x=start, text="name:N"
    )
    return alt.layer(drawn, told, names).properties(
        height=_ROW * len(table) + _AXIS, width="container"
    )
