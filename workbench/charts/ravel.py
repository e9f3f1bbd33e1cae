"""The pictures of RAVEL: every method's score with its interval, and what moved between cities."""

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink

PICKED = "cell"
"""Name of the matrix's point selection."""

BOTH, MOVED, STAYED, NEITHER = (
    "moved, the rest stayed",
    "moved, others too",
    "did not move",
    "others moved instead",
)
"""What an edit did to a pair, the best first."""

_SIGNS = {BOTH: "✓", MOVED: "+", STAYED: "=", NEITHER: "×"}


def scores_chart(scores: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart | alt.FacetChart:
    """Disentangle of every method with its interval, and the line of doing nothing.

    Args:
        scores: of one attribute, by one rule: columns ``about``, ``disentangle``, ``low``,
            ``high``, ``cause``, ``isolate``, in the order they are shown.
    """
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, labelFontSize=12, titleFontSize=12,
                    gridColor=ink.faint)  # fmt: skip
    rows = alt.Axis(labelColor=ink.text, labelFontSize=12, labelLimit=190, ticks=False,
                    domain=False)  # fmt: skip
    base = alt.Chart(scores).encode(
        y=alt.Y("method:N", sort=list(scores["method"]), title=None, axis=rows),
        tooltip=[
            alt.Tooltip("method:N"),
            *(alt.Tooltip(f"{name}:Q", format=".2f")
              for name in ("cause", "isolate", "disentangle", "low", "high")),
        ],
    )  # fmt: skip
    across = alt.X(
        "low:Q", title="Disentangle", axis=axis, scale=alt.Scale(domain=[0, 1], nice=False)
    )
    ranges = base.mark_rule(color=ink.source, strokeWidth=2).encode(x=across, x2="high:Q")
    points = base.mark_point(filled=True, size=70, color=ink.source, opacity=1).encode(
        x="disentangle:Q"
    )
    nothing = (
        alt.Chart(pd.DataFrame({"nothing": [0.5]}))
        .mark_rule(color=ink.other, strokeDash=[4, 4])
        .encode(x="nothing:Q")
    )
    return alt.layer(nothing, ranges, points).properties(width="container", height=alt.Step(24))


def matrix_chart(cells: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart | alt.FacetChart:
    """What an edit did to each pair of cities.

    Args:
        cells: columns ``source``, ``target``, ``did`` (one of those above), ``moved``, ``stayed``.
    """
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, labelFontSize=12, titleFontSize=12)
    base = alt.Chart(cells).encode(
        x=alt.X("target:N", title="towards", axis=axis),
        y=alt.Y("source:N", title="edited", axis=axis),
    )
    rects = base.mark_rect(stroke=ink.paper, strokeWidth=2).encode(
        color=alt.Color(
            "did:N",
            title=None,
            scale=alt.Scale(domain=list(_SIGNS),
                            range=[ink.source, ink.target, ink.faint, ink.other]),
            legend=None,
        ),
        tooltip=["source:N", "target:N", "did:N", "moved:N", "stayed:N"],
    )  # fmt: skip
    rects = rects.add_params(
        alt.selection_point(name=PICKED, fields=["source", "target"], on="click")
    )
    signed = cells.assign(sign=cells["did"].map(_SIGNS))
    signs = base.mark_text(fontSize=14, fontWeight="bold").encode(
        text="sign:N",
        color=alt.Color(
            "did:N",
            scale=alt.Scale(domain=list(_SIGNS),
                            range=[ink.paper, ink.paper, ink.text, ink.paper]),
            legend=None,
        ),
    )  # fmt: skip
    signs = signs.properties(data=signed)
    return (
        alt.layer(rects, signs)
        .resolve_scale(color="independent")
        .properties(width=alt.Step(30), height=alt.Step(30))
    )


LEGEND = " · ".join(f"{sign} {did}" for did, sign in _SIGNS.items())
"""What the signs of the matrix mean, in a line."""
