"""The pictures of a training: its curves, and how many meta-latents are active."""

import copy

import altair as alt
import pandas as pd

from workbench.charts.ink import LIGHT, Ink


def training_curve(moments: pd.DataFrame, ink: Ink = LIGHT) -> alt.VConcatChart:
    """Loss, L0 and dead meta-latents by step, one below the other.

    Args:
        moments: columns ``step``, ``loss``, ``l0``, ``dead``.
    """
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, gridColor=ink.faint, tickCount=4)
    whole = copy.deepcopy(axis)
    whole.tickMinStep = 1
    rows = []
    for name, title, colour in (
        ("loss", ["loss", "‖x − x̂‖²"], ink.source),
        ("l0", ["L0 on", "the batch"], ink.target),
        ("dead", ["dead", "meta-latents"], ink.other),
    ):
        rows.append(
            alt.Chart(moments)
            .mark_line(color=colour, strokeWidth=2)
            .encode(
                x=alt.X("step:Q", title="step" if name == "dead" else None, axis=axis),
                y=alt.Y(
                    f"{name}:Q",
                    title=title,
                    axis=whole if name == "dead" else axis,
                    scale=alt.Scale(domainMin=0),
                ),
                tooltip=["step:Q", alt.Tooltip(f"{name}:Q", format=".4g")],
            )
            .properties(height=110, width="container")
        )
    return alt.vconcat(*rows)


def curve_in_words(moments: pd.DataFrame) -> str:
    """Where a training has come to, for who doesn't see its curves."""
    now = moments.iloc[-1]
    return (
        f"At step {int(now['step']):,}: loss {now['loss']:.4g}, L0 {now['l0']:.2f}, "
        f"{int(now['dead']):,} dead meta-latents"
    )


def counts_chart(counts: list[int], ink: Ink = LIGHT) -> alt.Chart:
    """How many directions have 0, 1, 2, … active meta-latents."""
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, gridColor=ink.faint, labelAngle=0)
    table = pd.DataFrame({"active": range(len(counts)), "directions": counts})
    return (
        alt.Chart(table)
        .mark_bar(color=ink.source)
        .encode(
            x=alt.X("active:O", title="active meta-latents", axis=axis),
            y=alt.Y("directions:Q", title="directions", axis=axis),
            tooltip=["active:O", "directions:Q"],
        )
        .properties(height=220)
    )


def counts_in_words(counts: list[int]) -> str:
    """The same, for who doesn't see it."""
    told = ", ".join(f"{number} on {count:,}" for number, count in enumerate(counts) if count)
    return f"Active meta-latents: {told} directions"
