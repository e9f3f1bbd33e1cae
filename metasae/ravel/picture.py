"""The picture of the scores: methods × attributes, with intervals."""

from typing import Any

import pandas as pd


def picture(scores: pd.DataFrame, rule: str = "greedy") -> Any:
    """Disentangle of every method, a panel an attribute, and the line of doing nothing.

    Args:
        scores: as `scores.table` makes it.
    """
    import altair as alt

    rows = scores[scores["rule"] == rule]
    base = alt.Chart(rows).encode(
        alt.Y("method:N", sort=list(dict.fromkeys(rows["method"])), title=None)
    )
    points = base.mark_point(filled=True, size=60).encode(
        alt.X("disentangle:Q", title="Disentangle", scale=alt.Scale(domain=[0, 1])),
        tooltip=[
            "method",
            "attribute",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in
              ("cause", "isolate", "disentangle", "low", "high")),
        ],
    )  # fmt: skip
    ranges = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"))
    # It says nothing of its own: without a name it would be an image without one.
    line = alt.Chart(rows).mark_rule(strokeDash=[4, 4], opacity=0.5, aria=False)
    nothing = line.encode(x=alt.datum(0.5))
    layered = alt.layer(nothing, ranges, points).properties(width=220)
    order = list(dict.fromkeys(rows["attribute"]))
    return layered.facet(facet=alt.Facet("attribute:N", sort=order, title=None), columns=2)
