"""The pictures of a latent: its pieces, how strongly it fires, how a meta-latent is spread."""

from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink

HEIGHT = 280
"""Pixels of a picture of a distribution, its axis included: enough to read off its bars."""

PICKED = "picked"
"""Name of the selection that a click on a row makes."""

_ROW = 44
"""Pixels of a row of bars: its name above, its bar below."""

_AXIS = 64
"""Pixels of the axis below them."""

REST = "in none of them"


def pieces_chart(
    pieces: pd.DataFrame, unexplained: float, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """A latent's meta-latents as bars that can be clicked, and what is in none of them.

    Args:
        pieces: columns ``meta``, ``name`` and ``activation``, the strongest first.
        unexplained: share of the direction's squared length; its bar is that share's length.
    """
    rows = pd.DataFrame(
        {
            "number": [*pieces["meta"], None],
            "name": [*pieces["name"], REST],
            "value": [*pieces["activation"], unexplained**0.5],
        }
    )
    return _bars(rows, "length of each piece (the latent's direction is 1 long)", ink)


def latents_chart(latents: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart | alt.FacetChart:
    """The latents a meta-latent is most active on, as bars that can be clicked.

    Args:
        latents: columns ``latent``, ``name`` and ``activation``, the strongest first.
    """
    rows = latents.rename(columns={"latent": "number", "activation": "value"})
    return _bars(rows, "activation of the meta-latent on the latent's direction", ink)


def bars_in_words(names: Iterable[str], values: Iterable[float]) -> str:
    """What such bars say, for who doesn't see them."""
    return "; ".join(map(_told, names, values))


def _told(name: str, value: float) -> str:
    return f"{name}: {value:.2f}"


def _bars(rows: pd.DataFrame, title: str, ink: Ink) -> alt.LayerChart | alt.FacetChart:
    """A row each: its name, its bar below and its value at the bar's end.

    A click anywhere in a row selects it: `PICKED`, with the field number.

    Args:
        rows: columns number (None for a row that leads nowhere), name and value.
    """
    told = list(map(_told, rows["name"], rows["value"]))
    table = rows.assign(row=range(len(rows)), start=0.0, end=1.0, told=told)
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    axis = alt.Axis(
        labelColor=ink.text, titleColor=ink.text, titleFontWeight="normal", gridColor=ink.faint,
        domain=False, tickCount=5, titleLimit=_fits(0),
    )  # fmt: skip
    # The same for every layer: an axis that is shared says all titles there are.
    scale = alt.Scale(domain=[0, 1], clamp=True)
    value, start = (alt.X(f"{one}:Q", title=title, scale=scale, axis=axis)
                    for one in ("value", "start"))  # fmt: skip
    base = alt.Chart(table).encode(y=y)
    bars = base.mark_bar(height=10, yOffset=9, cornerRadiusEnd=2, aria=False).encode(
        x=value,
        color=alt.condition("isValid(datum.number)", alt.value(ink.source), alt.value(ink.other)),
    )
    numbers = base.mark_text(
        align="left", baseline="middle", dx=5, dy=9, fontSize=12, color=ink.text, aria=False
    ).encode(x=value, text=alt.Text("value:Q", format=".2f"))
    names = base.mark_text(
        align="left", baseline="middle", dx=1, dy=-8, fontSize=13, color=ink.text,
        limit=_fits(2), aria=False,
    ).encode(x=start, text="name:N")  # fmt: skip
    # Over the whole row, since a short bar is hard to hit.
    rows_to_hit = (
        base.mark_bar(opacity=0, cursor="pointer")
        .encode(
            x=start,
            x2="end:Q",
            description="told:N",  # what a screen reader hears of the row
            tooltip=[
                alt.Tooltip("name:N", title="name"),
                alt.Tooltip("value:Q", title="value", format=".3f"),
            ],
        )
        .add_params(alt.selection_point(name=PICKED, fields=["number"], on="click"))
    )
    return alt.layer(bars, numbers, names, rows_to_hit).properties(
        height=_ROW * len(rows) + _AXIS, width="container"
    )


def _fits(margin: int) -> alt.ExprRef:
    """The picture's width in pixels, less a margin: where a text ends."""
    return alt.ExprRef(f"width - {margin}")


def histogram(bands: pd.DataFrame, ink: Ink = LIGHT) -> alt.Chart:
    """How often a latent fires how strongly.

    Args:
        bands: columns ``from``, ``to`` and ``tokens``; see
            `metasae.explorer.evidence.Evidence.histogram`.
    """
    table = bands[bands["tokens"] > 0]
    ends = [float(bands["from"].min()), float(bands["to"].max())] if len(bands) else [1.0, 2.0]
    return (
        alt.Chart(table)
        .mark_bar(color=ink.source, stroke=ink.paper)
        .encode(
            x=alt.X(
                "from:Q", title="activation (residual-stream units)", axis=_axis(ink, ".3~g"),
                scale=alt.Scale(type="log", base=2, domain=ends, nice=False),
            ),
            x2="to:Q",
            y=alt.Y("tokens:Q", title="tokens", axis=_axis(ink, ",.0f", tickMinStep=1), stack=None),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("from:Q", format=".1f"), alt.Tooltip("to:Q", format=".1f"),
                alt.Tooltip("tokens:Q", format=","),
            ],
        )
        .properties(height=HEIGHT, width="container")
    )  # fmt: skip


def density_chart(
    densities: pd.DataFrame, own: float, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """How often the latents of an SAE fire, and where among them one is.

    Args:
        densities: columns ``from``, ``to`` and ``latents``; see
            `metasae.explorer.evidence.Evidence.densities`.
        own: share of the tokens that one fires on, more than 0.
    """
    mine = (densities["from"] <= own) & (own < densities["to"])
    table = densities.assign(own=mine)
    ends = [float(densities["from"].min()), float(densities["to"].max())]
    shares = _axis(
        ink, "~g", values=[10.0**n for n in range(-6, 1)],
        labelExpr="format(100 * datum.value, '~g') + ' %'",
    )  # fmt: skip
    bars = (
        alt.Chart(table)
        .mark_bar(stroke=ink.paper)
        .encode(
            x=alt.X(
                "from:Q", title="share of the tokens a latent fires on", axis=shares,
                scale=alt.Scale(type="log", domain=ends, nice=False),
            ),
            x2="to:Q",
            y=alt.Y(
                "latents:Q", title="latents", axis=_axis(ink, ",.0f"),
                scale=alt.Scale(domain=[0, 1.2 * int(densities["latents"].max())], nice=False),
            ),
            y2=alt.datum(0),
            color=alt.condition("datum.own", alt.value(ink.target), alt.value(ink.other)),
            tooltip=[
                alt.Tooltip("from:Q", format=".2~%"), alt.Tooltip("to:Q", format=".2~%"),
                alt.Tooltip("latents:Q", format=","),
            ],
        )
    )  # fmt: skip
    here = pd.DataFrame({"share": [own], "says": ["this latent"]})
    middle = (ends[0] * ends[1]) ** 0.5
    label = (
        alt.Chart(here)
        .mark_text(
            align="left" if own < middle else "right", dx=6 if own < middle else -6, y=8,
            baseline="middle", color=ink.text, fontWeight="bold",
        )
        .encode(x="share:Q", text="says:N")
    )  # fmt: skip
    rule = alt.Chart(here).mark_rule(color=ink.target, strokeWidth=2).encode(x="share:Q")
    return alt.layer(bars, rule, label).properties(height=HEIGHT, width="container")


def spread_chart(values: pd.DataFrame, ink: Ink = LIGHT) -> alt.Chart:
    """How strongly a meta-latent is active on the latents it is active on."""
    return (
        alt.Chart(values)
        .mark_bar(color=ink.source, stroke=ink.paper)
        .encode(
            x=alt.X(
                "activation:Q", bin=alt.Bin(step=0.05, extent=[0, 1]),
                title="activation of the meta-latent",
                axis=_axis(ink, ".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
            ),
            y=alt.Y("count():Q", title="latents", axis=_axis(ink, ",.0f", tickMinStep=1)),
            tooltip=[alt.Tooltip("count():Q", title="latents")],
        )
        .properties(height=HEIGHT, width="container")
    )  # fmt: skip


def _axis(ink: Ink, form: str, **more: Any) -> alt.Axis:
    return alt.Axis(
        labelColor=ink.text, titleColor=ink.text, titleFontWeight="normal", gridColor=ink.faint,
        format=form, **more,
    )  # fmt: skip
