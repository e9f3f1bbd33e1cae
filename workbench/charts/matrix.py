"""A matrix with a number in each cell, the deeper in colour the larger."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink


def number_matrix(
    table: pd.DataFrame,
    x: str | alt.X,
    y: str | alt.Y,
    value: str,
    most: float,
    ink: Ink = LIGHT,
    text: str | alt.Text | None = None,
    tooltip: Sequence[str | alt.Tooltip] = (),
    cells: alt.Parameter | None = None,
) -> alt.LayerChart:
    """One cell a row of the table.

    Args:
        x, y: what its columns and rows are.
        value: column of the numbers, from 0 to ``most``.
        text: what stands in a cell; the number where it is left out.
        cells: a selection of cells.
    """
    base = alt.Chart(table).encode(x, y)
    rects = base.mark_rect(stroke=ink.paper, strokeWidth=2).encode(
        color=alt.Color(
            f"{value}:Q",
            scale=alt.Scale(domain=[0, most], range=[ink.faint, ink.source]),
            legend=None,
        ),
        tooltip=list(tooltip),
    )
    if cells is not None:
        rects = rects.add_params(cells)
    numbers = base.mark_text(fontSize=15, color=ink.text).encode(text=text or f"{value}:Q")
    return (
        alt.layer(rects, numbers)
        .properties(width=alt.Step(64), height=alt.Step(44))
        .configure_axis(
            labelColor=ink.text, titleColor=ink.text, labelFontSize=13, titleFontSize=13
        )
    )
