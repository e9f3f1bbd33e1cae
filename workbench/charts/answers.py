"""The picture of an outcome: every answer's log-probability before and after an edit."""

import copy
from functools import cache
from typing import Any

import altair as alt
import pandas as pd

from metasae.steering.nats import nats, settled
from metasae.steering.questions import CUSTOM
from workbench.charts.ink import LIGHT, Ink

LOWEST = -14.0
"""Left end of the scale in nats, the same for every edit so that toggles compare."""

_ROW_HEIGHT, _AXIS_HEIGHT = 25, 60

_LEFT, _RIGHT = LOWEST - 0.5, 4.0


def whose(cities: str, source: str, target: str) -> str:
    """Whether an answer is the source's or the target's; ``other`` when both's or neither's."""
    # A name may have commas of its own.
    mine, theirs = (f", {name}, " in f", {cities}, " for name in (source, target))
    if mine == theirs:
        return "other"
    return "source" if mine else "target"


def picks_in_words(answers: pd.DataFrame) -> str:
    """In words which candidate of one attribute the model picks, and picked before."""
    before, after = _picks(answers)
    return f"still {after}" if before == after else f"{before} → {after}"


def _picks(answers: pd.DataFrame) -> tuple[str, str]:
    before = answers.loc[answers["best_before"], "answer"].iloc[0]
    return before, answers.loc[answers["best_after"], "answer"].iloc[0]


Row = dict[str, Any]
"""One line of the picture."""


def _rows(answers: pd.DataFrame, source: str, target: str) -> list[Row]:
    """Each attribute's heading, then its answers, from top to bottom.

    ``line`` is what the axis sorts and labels by: number, kind (heading, picked or answer), text.
    """
    rows: list[Row] = []
    for attribute, part in answers.groupby("attribute", sort=False):
        candidates = part.to_dict("records")
        roles = {one["answer"]: whose(one["city"], source, target) for one in candidates}
        before, after = _picks(part)
        rows.append(
            {
                "line": f"{len(rows):02d}h|{'yours' if attribute == CUSTOM else str(attribute)}",
                "heading": picks_in_words(part),
                "moved": before != after,
                "role": roles[after],
            }
        )
        for one in candidates:
            kind = "p" if one["best_after"] else "a"
            rows.append(
                {
                    "line": f"{len(rows):02d}{kind}|{one['answer']}",
                    "attribute": attribute,
                    "answer": one["answer"],
                    "role": roles[one["answer"]],
                    "baseline": settled(one["baseline"]),
                    "logprob": settled(one["logprob"]),
                    "change": settled(one["change"]),
                    "from": max(one["baseline"], LOWEST),
                    "to": max(one["logprob"], LOWEST),
                    "shape": _shape(one["logprob"], one["best_after"]),
                    "number": nats(one["logprob"]),
                }
            )
    return rows


def _shape(logprob: float, picked: bool) -> str:
    if logprob < LOWEST:
        return "below the scale"
    return "model's pick" if picked else "answer"


def answers_spec(
    answers: pd.DataFrame, source: str, target: str, ink: Ink = LIGHT
) -> dict[str, Any]:
    """Log-probability of every answer before (hollow) and after (filled) an edit, for Vega-Lite.

    Args:
        answers: `metasae.steering.outcome.Outcome.answers`.
        source, target: labels as in the table's ``city`` column.

    Altair takes most of a toggle's time to build and check the same chart again; only what differs
    from one edit to the next is put into a chart built once.
    """
    rows = _rows(answers, source, target)
    spec = copy.deepcopy(_template(ink))
    spec["data"] = {"values": rows}
    spec["height"] = _height(rows)
    lines = [row["line"] for row in rows]
    for layer in spec["layer"]:
        layer["encoding"]["y"] |= {"sort": lines, "scale": {"domain": lines}}
    return spec


@cache
def _template(ink: Ink) -> dict[str, Any]:
    with alt.data_transformers.enable(consolidate_datasets=False):
        spec: dict[str, Any] = _drawn([{"line": "00h|"}], ink).to_dict()
    return spec


def _height(rows: list[Row]) -> int:
    return _ROW_HEIGHT * len(rows) + _AXIS_HEIGHT


def _drawn(rows: list[Row], ink: Ink) -> alt.LayerChart | alt.FacetChart:
    y, x = _lines_axis([row["line"] for row in rows], ink), _nats_axis(ink)
    role = alt.Color(
        "role:N",
        scale=alt.Scale(
            domain=["source", "target", "other"], range=[ink.source, ink.target, ink.other]
        ),
        legend=None,
    )
    shape = alt.Shape(
        "shape:N",
        scale=alt.Scale(
            domain=["answer", "model's pick", "below the scale"],
            range=["circle", "diamond", "triangle-left"],
        ),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("attribute:N", title="attribute"),
        alt.Tooltip("answer:N", title="answer"),
        alt.Tooltip("baseline:Q", title="before (nats)", format=".2f"),
        alt.Tooltip("logprob:Q", title="after (nats)", format=".2f"),
        alt.Tooltip("change:Q", title="change (nats)", format="+.2f"),
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    answered = base.transform_filter("isValid(datum.logprob)")
    way = answered.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("from:Q", **x), x2="to:Q", color=role
    )
    before = answered.mark_point(size=110, strokeWidth=2, fill=ink.paper, opacity=1).encode(
        x=alt.X("from:Q", **x), color=role, tooltip=tooltip
    )
    after = answered.mark_point(opacity=1, filled=True).encode(
        x=alt.X("to:Q", **x),
        color=role,
        shape=shape,
        size=alt.condition('datum.shape == "model\'s pick"', alt.value(230), alt.value(130)),
        tooltip=tooltip,
    )
    numbers = answered.mark_text(align="left", dx=12, fontSize=14, color=ink.text).encode(
        x=alt.datum(0, scale=x["scale"]), text="number:N"
    )
    headings = (
        base.transform_filter("isValid(datum.heading)")
        .mark_text(align="left", dx=4, fontSize=14, fontWeight="bold")
        .encode(
            x=alt.datum(_LEFT, scale=x["scale"]),
            text="heading:N",
            color=alt.condition("datum.moved", role, alt.value(ink.text)),
        )
    )
    return alt.layer(way, before, after, numbers, headings).properties(
        height=_height(rows), width="container"
    )


def _lines_axis(lines: list[str], ink: Ink) -> alt.Y:
    kind, text = "substring(datum.label, 2, 3)", "substring(datum.label, 4)"
    axis = alt.Axis(
        title=None,
        labelExpr=f"{kind} == 'h' ? upper({text}) : ({kind} == 'p' ? '◆ ' : '') + {text}",
        labelFontWeight={
            "condition": {"test": f"{kind} != 'a'", "value": "bold"},
            "value": "normal",
        },
        labelFontSize=14,
        labelColor=ink.text,
        labelLimit=150,
        labelOverlap=False,
        labelFlush=False,
        labelPadding=6,
        domain=False,
        ticks=False,
        grid=False,
    )
    return alt.Y("line:N", sort=lines, scale=alt.Scale(domain=lines), axis=axis)


def _nats_axis(ink: Ink) -> dict[str, Any]:
    axis = alt.Axis(
        title="log-probability (nats), 0 = certain",
        titleColor=ink.text,
        titleFontSize=13,
        titleFontWeight="normal",
        titleAnchor="start",
        values=list(range(int(LOWEST), 1, 2)),
        labelColor=ink.text,
        labelFontSize=13,
        gridColor=ink.faint,
        domain=False,
        tickColor=ink.faint,
    )
    return {"scale": alt.Scale(domain=[_LEFT, _RIGHT], nice=False, zero=False), "axis": axis}
