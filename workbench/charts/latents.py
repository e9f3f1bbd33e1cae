"""The pictures of a latent: its pieces, how strongly it fires, how a meta-latent is spread."""

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink


def pieces_chart(
    pieces: pd.DataFrame, unexplained: float, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """A latent's meta-latents as bars, and what is in none of them.

    Args:
        pieces: columns ``name`` and ``activation``, the strongest first.
        unexplained: share of the direction's squared length; its bar is that share's length.
    """
    rows = [
        {"name": name, "value": value, "kind": "meta-latent"}
        for name, value in zip(pieces["name"], pieces["activation"], strict=True)
    ]
    rows.append({"name": "in none of them", "value": unexplained**0.5, "kind": "left over"})
    axis = alt.Axis(
        labelColor=ink.text, titleColor=ink.text, gridColor=ink.faint, labelLimit=230,
    )  # fmt: skip
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=axis),
        x=alt.X(
            "value:Q", title="length along the direction", scale=alt.Scale(domain=[0, 1]),
            axis=axis,
        ),
        tooltip=["name:N", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    bars = base.mark_bar(height=16).encode(
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=["meta-latent", "left over"], range=[ink.source, ink.faint]),
            legend=None,
        )
    )
    numbers = base.mark_text(align="left", dx=4, color=ink.text).encode(
        text=alt.Text("value:Q", format=".2f")
    )
    return alt.layer(bars, numbers).properties(height=28 * len(rows) + 45, width="container")


def histogram(bands: pd.DataFrame, ink: Ink = LIGHT) -> alt.Chart:
    """How often a latent fires how strongly.

    Args:
        bands: columns ``from``, ``to`` and ``tokens``; see
            `metasae.explorer.evidence.Evidence.histogram`.
    """
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, gridColor=ink.faint, format=".3~g")
    table = bands[bands["tokens"] > 0]
    ends = [float(bands["from"].min()), float(bands["to"].max())] if len(bands) else [1.0, 2.0]
    return (
        alt.Chart(table)
        .mark_bar(color=ink.source, stroke=ink.paper)
        .encode(
            x=alt.X(
                "from:Q", title="activation (residual-stream units)", axis=axis,
                scale=alt.Scale(type="log", base=2, domain=ends, nice=False),
            ),
            x2="to:Q",
            y=alt.Y("tokens:Q", title="tokens", axis=axis, stack=None),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("from:Q", format=".1f"), alt.Tooltip("to:Q", format=".1f"),
                alt.Tooltip("tokens:Q", format=","),
            ],
        )
        .properties(height=110, width="container")
    )  # fmt: skip


def spread_chart(values: pd.DataFrame, ink: Ink = LIGHT) -> alt.Chart:
    """How strongly a meta-latent is active on the latents it is active on."""
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, gridColor=ink.faint)
    return (
        alt.Chart(values)
        .mark_bar(color=ink.source)
        .encode(
            x=alt.X(
                "activation:Q", bin=alt.Bin(step=0.05, extent=[0, 1]), title="activation",
                axis=axis,
            ),
            y=alt.Y("count():Q", title="latents", axis=axis),
            tooltip=[alt.Tooltip("count():Q", title="latents")],
        )
        .properties(height=150, width="container")
    )  # fmt: skip
