"""The picture of a graph of latents and meta-latents."""

import altair as alt
import pandas as pd

from workbench.charts.ink import _OKABE_ITO, LIGHT, Ink


def graph_chart(
    nodes: pd.DataFrame, edges: pd.DataFrame, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """Latents and meta-latents with the lines between them; a click picks one.

    Args:
        nodes: columns kind, index, name, label, start, x, y, community, links.
        edges: columns x, y, x2, y2, activation.
    """
    picked = alt.selection_point(name="picked", fields=["kind", "index"], on="click")
    lines = (
        alt.Chart(edges)
        .mark_rule(color=ink.other, opacity=0.5)
        .encode(
            x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None), x2="x2:Q", y2="y2:Q",
            size=alt.Size(
                "activation:Q", scale=alt.Scale(domain=[0, 0.8], range=[0.5, 7]), legend=None
            ),
        )
    )  # fmt: skip
    colours = [*_OKABE_ITO]
    groups = sorted(set(nodes["community"]), key=int)
    points = (
        alt.Chart(nodes)
        .mark_point(filled=True, opacity=1, stroke=ink.paper, strokeWidth=1)
        .encode(
            x="x:Q",
            y="y:Q",
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=["latent", "meta-latent"], range=["circle", "square"]),
                legend=None,
            ),
            size=alt.condition("datum.start", alt.value(520), alt.value(190)),
            color=alt.Color(
                "community:N",
                scale=alt.Scale(
                    domain=groups, range=[colours[n % len(colours)] for n in range(len(groups))]
                ),
                legend=None,
            ),
            tooltip=["kind:N", "name:N", "links:Q", "community:N"],
        )
        .add_params(picked)
    )
    short = nodes.assign(
        short=[_short(name) for name in nodes["label"]],
        heavy=nodes["start"] | (nodes["kind"] == "meta-latent"),
    )
    named = alt.Chart(short).encode(x="x:Q", y="y:Q", text="short:N")
    light = named.transform_filter("!datum.heavy").mark_text(dy=12, fontSize=10, color=ink.other)
    heavy = named.transform_filter("datum.heavy").mark_text(
        dy=-16, fontSize=12, fontWeight="bold", color=ink.text
    )
    return alt.layer(lines, points, light, heavy).properties(height=620, width="container")


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23].rstrip() + "…"
