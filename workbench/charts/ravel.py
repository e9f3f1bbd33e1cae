"""The pictures of RAVEL: what an edit did city by city, and which answers move together."""

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink
from workbench.charts.matrix import number_matrix

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


def leak_chart(leaks: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart:
    """Which answers move, by what an edit is for and what is asked.

    Args:
        leaks: of one method and rule, as `metasae.ravel.moved.leak` has them.
    """
    orders = {name: list(dict.fromkeys(leaks[name])) for name in ("edited", "asked")}
    shares = (alt.Tooltip("moved:Q", format=".0%"), alt.Tooltip("stayed:Q", format=".0%"))
    return number_matrix(
        leaks,
        alt.X("asked:N", title="asked", sort=orders["asked"]),
        alt.Y("edited:N", title="edit for", sort=orders["edited"]),
        "moved",
        1,
        ink,
        text=alt.Text("moved:Q", format=".0%"),
        tooltip=["edited:N", "asked:N", *shares, "prompts:Q"],
    )
