"""The pictures of a search: all combinations by their leads, all pairs by their patterns."""

import altair as alt
import pandas as pd

from metasae.explorer.graph_chart import OKABE_ITO
from metasae.steering.nats import nats
from workbench.charts.ink import LIGHT, Ink
from workbench.charts.matrix import number_matrix

PICKED = "picked"
"""The selection of a picture's point or cell."""

MOST_POINTS = 4000
"""Combinations a picture shows at most; of more a seeded sample, the rare ones all."""


def leads_chart(
    table: pd.DataFrame, across: str, up: str, source: str, target: str, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """Every combination by how far the target's answer leads the source's on two questions.

    Args:
        table: columns ``lead <attribute>`` (nats), ``moves``, ``margin``, ``combination``.
        across, up: attributes.
    """
    shown = table.rename(columns={f"lead {across}": "x", f"lead {up}": "y"})
    shown = _drawn(shown[["x", "y", "moves", "margin", "combination"]]).assign(
        across=lambda one: one["x"].map(lambda value: nats(value, signed=True)),
        up=lambda one: one["y"].map(lambda value: nats(value, signed=True)),
        clear=lambda one: one["margin"].map(nats),
        # As text: a browser's numbers are exact to 2^53 only, and these go further.
        combination=lambda one: one["combination"].astype(str),
    )
    plain = alt.Axis(
        gridColor=ink.faint, labelColor=ink.text, titleColor=ink.text, labelFontSize=13,
        titleFontSize=13, titleFontWeight="normal", domain=False,
    )  # fmt: skip

    def title(attribute: str) -> list[str]:
        return [f"{attribute}: lead of {target}'s answer", f"over {source}'s (nats)"]

    points = (
        alt.Chart(shown)
        .mark_point(filled=True, size=60, opacity=0.75)
        .encode(
            x=alt.X("x:Q", title=title(across), axis=plain),
            y=alt.Y("y:Q", title=title(up), axis=plain),
            color=alt.Color(
                "moves:N",
                title="what moves",
                scale=alt.Scale(range=list(OKABE_ITO)),
                legend=alt.Legend(
                    orient="bottom",
                    columns=alt.ExprRef("width < 560 ? 1 : 2"),
                    labelLimit=320,
                    labelColor=ink.text,
                    titleColor=ink.text,
                    labelFontSize=13,
                ),
            ),
            shape=alt.Shape("moves:N", title="what moves"),
            tooltip=[
                alt.Tooltip("moves:N", title="moves"),
                alt.Tooltip("across:N", title=f"{across} (nats)"),
                alt.Tooltip("up:N", title=f"{up} (nats)"),
                alt.Tooltip("clear:N", title="margin (nats)"),
                alt.Tooltip("combination:N", title="combination"),
            ],
        )
        .add_params(alt.selection_point(name=PICKED, fields=["combination"], on="click"))
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]}))
    rules = zero.mark_rule(color=ink.other, strokeDash=[4, 4])
    return alt.layer(
        rules.encode(x=alt.X("zero:Q", axis=plain, title=title(across))),
        rules.encode(y=alt.Y("zero:Q", axis=plain, title=title(up))),
        points,
    ).properties(height=520, width="container")


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """What a picture shows, the commonest moves first, so that rare ones lie on top.

    Of too many points those of common moves are left out at random.
    """
    groups = sorted((group for _, group in table.groupby("moves")), key=len)
    left, kept = MOST_POINTS, []
    for number, group in enumerate(groups):
        room = left // (len(groups) - number)
        kept.append(group if len(group) <= room else group.sample(room, random_state=0))
        left -= len(kept[-1])
    return pd.concat(reversed(kept))


def pairs_chart(counts: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart:
    """Patterns each ordered pair reaches, as a matrix.

    Args:
        counts: columns ``source``, ``target``, ``patterns``.
    """
    return number_matrix(
        counts,
        alt.X("target:N", title="target"),
        alt.Y("source:N", title="source"),
        "patterns",
        16,
        ink,
        tooltip=["source:N", "target:N", "patterns:Q"],
        cells=alt.selection_point(name=PICKED, fields=["source", "target"], on="click"),
    )
