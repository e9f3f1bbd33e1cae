"""Pictures of feature splitting: what children keep and add, and meta-latents by width."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from metasae.studies.split_children import KINDS, MEASURES

_WIDTHS = alt.Legend(orient="top", columns=3)


def measures(found: Mapping[str, Mapping[str, Any]]) -> Any:
    """Every measure of children and controls, with intervals."""
    titles = {
        "kept": "parent's activation kept",
        "whole": "has all the parent's meta-latents",
        "explained": "remainder explained by added ones",
    }
    rows = [
        {"measure": titles[measure], "of": name, **found[measure][name]}
        for measure in MEASURES
        for name in KINDS.values()
        if found[measure][name] is not None
    ]
    names = list(KINDS.values())
    base = alt.Chart(pd.DataFrame(rows)).encode(
        alt.Y("measure:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)),
        alt.YOffset("of:N", sort=names),
        alt.Color("of:N", title=None, sort=names, legend=alt.Legend(orient="top")),
    )
    points = base.mark_point(filled=True, size=70).encode(
        alt.X("value:Q", title=None, axis=alt.Axis(format="%")),
        alt.Shape("of:N", title=None, sort=names, legend=alt.Legend(orient="top")),
        tooltip=["measure", "of", alt.Tooltip("value:Q", format=".1%")],
    )
    ranges = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"))
    return (ranges + points).properties(width=420, height=170)


def counts(counts: pd.DataFrame) -> Any:
    """How many meta-latents latents have, a line a width."""
    share = counts["latents"] / counts.groupby("width")["latents"].transform("sum")
    return (
        alt.Chart(counts.assign(share=share, SAE=counts["width"].map("{:,}".format)))
        .mark_line(point=True)
        .encode(
            alt.X("meta_latents:Q", title="meta-latents a latent"),
            alt.Y("share:Q", title="share of latents", axis=alt.Axis(format="%")),
            alt.Color("SAE:O", sort=alt.EncodingSortField("width"), title="width", legend=_WIDTHS),
            tooltip=["SAE", "meta_latents", "latents", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=420, height=220)
    )


def shares(shares: pd.DataFrame) -> Any:
    """How much of meta-latents' activation each width has: a line a width over meta-latents."""
    step = 0.05
    binned = shares.assign(share=(shares["share"] / step).round() * step)
    table = binned.groupby(["width", "share"], as_index=False).agg(meta_latents=("meta", "size"))
    return (
        alt.Chart(table.assign(SAE=table["width"].map("{:,}".format)))
        .mark_line(point=True)
        .encode(
            alt.X("share:Q", title="share of a meta-latent's activation on latents of this width",
                  axis=alt.Axis(format="%")),
            alt.Y("meta_latents:Q", title="meta-latents"),
            alt.Color("SAE:O", sort=alt.EncodingSortField("width"), title="width", legend=_WIDTHS),
            tooltip=["SAE", alt.Tooltip("share:Q", format=".0%"), "meta_latents"],
        )
        .properties(width=420, height=220)
    )  # fmt: skip
