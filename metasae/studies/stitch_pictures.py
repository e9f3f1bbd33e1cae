"""The pictures of the study of stitching, made from its tables."""

from typing import Any

import numpy as np
import pandas as pd

_BIN = 0.05
"""Width of a histogram's bin."""


def _class(novel: "pd.Series[bool]") -> "pd.Series[str]":
    return novel.map({True: "novel", False: "reconstruction"})


def cosines(latents: pd.DataFrame) -> Any:
    """How many novel and reconstruction latents have which largest cosine."""
    import altair as alt

    left = (latents["cosine"] / _BIN).apply(np.floor) * _BIN
    table = latents.assign(cosine=left.round(4), kind=_class(latents["novel"]))
    table = table.groupby(["kind", "cosine"], as_index=False).agg(latents=("latent", "size"))
    return (
        alt.Chart(table.assign(end=table["cosine"] + _BIN))
        .mark_bar(opacity=0.6)
        .encode(
            alt.X("cosine:Q", bin="binned", title="largest cosine to a latent of the smaller SAE"),
            alt.X2("end:Q"),
            alt.Y("latents:Q", title="latents", stack=None),
            alt.Color("kind:N", title=None, legend=alt.Legend(orient="top")),
            tooltip=["kind", "cosine", "latents"],
        )
        .properties(width=420, height=200)
    )


def roc(curve: pd.DataFrame) -> Any:
    """How many novel latents a low cosine finds, against the others it takes for novel."""
    import altair as alt

    names = ["largest cosine", "chance"]
    found = curve[["misses_taken", "hits_taken"]].assign(by=names[0])
    chance = pd.DataFrame({"misses_taken": [0.0, 1.0], "hits_taken": [0.0, 1.0], "by": names[1]})
    share = alt.Axis(format="%")
    return (
        alt.Chart(pd.concat([found, chance]))
        .mark_line()
        .encode(
            alt.X("misses_taken:Q", title="reconstruction latents below the cosine", axis=share),
            alt.Y("hits_taken:Q", title="novel latents below it", axis=share),
            alt.Color("by:N", title=None, sort=names, legend=alt.Legend(orient="top")),
            alt.StrokeDash("by:N", sort=names, legend=None),
        )
        .properties(width=260, height=260)
    )


def way(path: pd.DataFrame, swaps_begin: int) -> Any:
    """Error, L0 and cross-entropy at every step, the first two beside their control."""
    import altair as alt

    named = {
        "unexplained": "variance unexplained",
        "l0": "L0",
        "nats": "cross-entropy (nats a token)",
    }
    controls = {f"random_{name}": name for name in ("unexplained", "l0")}
    ways = ["novel first", "drawn latents"]
    found = path[["step", *named]].assign(way=ways[0])
    drawn = path[["step", *controls]].rename(columns=controls).assign(way=ways[1])
    long = pd.concat([found, drawn]).melt(["step", "way"], list(named), "what", "value").dropna()
    lines = (
        alt.Chart()
        .mark_line(point=True)
        .encode(
            alt.X("step:Q", title="step"),
            alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            # The same colours where there is no control.
            alt.Color(
                "way:N",
                title=None,
                scale=alt.Scale(domain=ways),
                legend=alt.Legend(orient="top", symbolType="stroke"),
            ),
            alt.StrokeDash("way:N", scale=alt.Scale(domain=ways), legend=None),
            tooltip=["what", "way", "step", alt.Tooltip("value:Q", format=".4f")],
        )
    )
    begin = alt.Chart().mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(swaps_begin))
    return (
        alt.layer(lines, begin, data=long.assign(what=long["what"].map(named)))
        .properties(width=420, height=170)
        .facet(alt.Facet("what:N", title=None, sort=list(named.values())), columns=1)
        .resolve_scale(y="independent")
    )
