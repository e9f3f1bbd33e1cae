"""The picture of an outcome: every answer's log-probability before and after an edit."""

import copy
from functools import cache
from math import exp
from typing import Any

import altair as alt
import pandas as pd

from metasae.steering.nats import nats
from workbench.charts.ink import LIGHT, Ink
from workbench.text import share

LOWEST = -14.0
"""Left end of the scale in nats, the same for every edit so that toggles compare."""

BLANK = "▁▁▁"
"""What stands in a question where the answer comes."""

_ROW_HEIGHT, _AXIS_HEIGHT = 25, 60

_LABELS = 132
"""Pixels left of the scale: the answers stand there, and the questions begin there."""

_LONGEST = 58
"""Characters of a question that there is room for, on a phone too; of more the end is shown."""

_DOMAINS = {False: (LOWEST - 0.5, 0.0), True: (-3.0, 100.0)}
"""Ends of the scale, in nats and in percent."""

_NUMBERS = {False: 62, True: 88}
"""Pixels to the right of it that the numbers take, however narrow the picture is."""


def whose(cities: str, source: str, target: str) -> str:
    """Whether an answer is the source's or the target's; ``other`` when both's or neither's."""
    # A name may have commas of its own.
    mine, theirs = (f", {name}, " in f", {cities}, " for name in (source, target))
    if mine == theirs:
        return "other"
    return "source" if mine else "target"


def question_text(before: str, edited: str, after: str) -> str:
    """A question as it is read: what is edited in brackets, then the blank."""
    marked = f"[{edited}]" if edited else ""
    text = f"{before}{marked}{after}".rstrip() + f" {BLANK}"
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :].lstrip()


Row = dict[str, Any]
"""One line of the picture."""


def _rows(
    answers: pd.DataFrame, asked: pd.DataFrame, source: str, target: str, percent: bool
) -> list[Row]:
    """Each question, its answers, and what the model itself would say where that is none of them.

    ``line`` is what the axis sorts and labels by: number, kind, text. Kinds: the question (h), an
    answer that leads (p) or doesn't (a), one that the model itself would say and that leads (q) or
    doesn't (s), and what the model itself would say (o).
    """
    rows: list[Row] = []
    # As plain values: one by one pandas takes longer over them than the model.
    parts: dict[str, list[Row]] = {}
    records: list[Any] = answers.to_dict("records")
    for one in records:
        parts.setdefault(one["attribute"], []).append(one)
    for part, question in zip(parts.values(), asked.to_dict("records"), strict=True):
        text = question_text(question["before"], question["edited"], question["after"])
        rows.append({"line": f"{len(rows):03d}h|{text}", "question": text})
        for one in part:
            leads, says = bool(one["best_after"]), bool(one["says_after"])
            kind = {(True, True): "q", (True, False): "p", (False, True): "s"}.get(
                (leads, says), "a"
            )
            role = whose(one["city"], source, target)
            rows.append(
                {
                    "line": f"{len(rows):03d}{kind}|{one['answer']}",
                    "attribute": one["attribute"],
                    "answer": one["answer"],
                    "whose": one["city"] or "typed",
                    "role": role,
                    **_points(one["baseline"], one["logprob"], says, percent),
                }
            )
        if not question["own_answer"]:
            rows.append(
                {
                    "line": f"{len(rows):03d}o|“{question['own']}…”",
                    "attribute": question["attribute"],
                    "answer": f"“{question['own']}…”",
                    "whose": "nobody's: the likeliest next token of all",
                    "role": "model",
                    **_points(question["own_baseline"], question["own_logprob"], True, percent),
                }
            )
    return rows


def _points(baseline: float, logprob: float, says: bool, percent: bool) -> Row:
    """Where a line's points are, and what is written beside them."""
    units = nats(logprob), share(exp(logprob))
    return {
        "from": 100 * exp(baseline) if percent else max(baseline, LOWEST),
        "to": 100 * exp(logprob) if percent else max(logprob, LOWEST),
        "shape": _shape(logprob, says, percent),
        "number": units[percent],
        "was": f"{nats(baseline)} nats ({share(exp(baseline))})",
        "is": f"{units[0]} nats ({units[1]})",
        "change": f"{nats(logprob - baseline, signed=True)} nats",
    }


def _shape(logprob: float, says: bool, percent: bool) -> str:
    if says:
        return "model"
    return "below the scale" if logprob < LOWEST and not percent else "answer"


def answers_spec(
    answers: pd.DataFrame,
    asked: pd.DataFrame,
    source: str,
    target: str,
    ink: Ink = LIGHT,
    percent: bool = False,
) -> dict[str, Any]:
    """Every answer before (hollow) and after (filled) an edit, question by question, for Vega-Lite.

    Args:
        answers, asked: of a `metasae.steering.outcome.Outcome`.
        source, target: labels as in the table's ``city`` column.
        percent: draw probabilities instead of log-probabilities.

    Altair takes most of a toggle's time to build and check the same chart again; only the rows, and
    how many there are, differ from one edit to the next.
    """
    rows = _rows(answers, asked, source, target, percent)
    spec = copy.deepcopy(_template(ink, percent))
    spec["data"] = {"values": rows}
    spec["height"] = _height(rows)
    return spec


@cache
def _template(ink: Ink, percent: bool) -> dict[str, Any]:
    with alt.data_transformers.enable(consolidate_datasets=False):
        spec: dict[str, Any] = _drawn([{"line": "000h|"}], ink, percent).to_dict()
    return spec


def _height(rows: list[Row]) -> int:
    return _ROW_HEIGHT * len(rows) + _AXIS_HEIGHT


def _drawn(rows: list[Row], ink: Ink, percent: bool) -> alt.LayerChart | alt.FacetChart:
    y, x = _lines_axis(ink), _scale(ink, percent)
    role = alt.Color(
        "role:N",
        scale=alt.Scale(
            domain=["source", "target", "other", "model"],
            range=[ink.source, ink.target, ink.other, ink.text],
        ),
        legend=None,
    )
    shape = alt.Shape(
        "shape:N",
        scale=alt.Scale(
            domain=["answer", "model", "below the scale"],
            range=["circle", "diamond", "triangle-left"],
        ),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("answer:N", title="answer"),
        alt.Tooltip("whose:N", title="whose"),
        alt.Tooltip("was:N", title="before"),
        alt.Tooltip("is:N", title="after"),
        alt.Tooltip("change:N", title="change"),
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    answered = base.transform_filter("isValid(datum.to)")
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
        size=alt.condition("datum.shape == 'model'", alt.value(230), alt.value(130)),
        tooltip=tooltip,
    )
    numbers = answered.mark_text(align="left", dx=14, fontSize=14, color=ink.text).encode(
        x=alt.datum(_DOMAINS[percent][1], scale=x["scale"]), text="number:N"
    )
    questions = (
        base.transform_filter("isValid(datum.question)")
        .mark_text(align="left", fontSize=13, color=ink.text)
        .encode(x=alt.value(-_LABELS), text="question:N")
    )
    return alt.layer(way, before, after, numbers, questions).properties(
        height=_height(rows), width="container"
    )


def _lines_axis(ink: Ink) -> alt.Y:
    kind, text = "substring(datum.label, 3, 4)", "substring(datum.label, 5)"
    axis = alt.Axis(
        title=None,
        labelExpr=(f"{kind} == 'h' ? '' : (indexof('qso', {kind}) < 0 ? '' : '◆ ') + {text}"),
        labelFontWeight={
            "condition": {"test": f"indexof('pqo', {kind}) >= 0", "value": "bold"},
            "value": "normal",
        },
        labelFontSize=14,
        labelColor=ink.text,
        labelLimit=_LABELS - 10,
        labelOverlap=False,
        labelFlush=False,
        labelPadding=6,
        minExtent=_LABELS,
        maxExtent=_LABELS,
        domain=False,
        ticks=False,
        grid=False,
    )
    # Their numbers come first. Named one by one, the lines would make each edit's a picture of its
    # own, which a browser begins anew; so it is given other rows alone.
    return alt.Y("line:N", sort="ascending", axis=axis)


def _scale(ink: Ink, percent: bool) -> dict[str, Any]:
    axis = alt.Axis(
        title="probability (%)" if percent else "log-probability (nats), 0 = certain",
        titleColor=ink.text,
        titleFontSize=13,
        titleFontWeight="normal",
        titleAnchor="start",
        values=[0, 25, 50, 75, 100] if percent else list(range(int(LOWEST), 1, 2)),
        labelColor=ink.text,
        labelFontSize=13,
        gridColor=ink.faint,
        domain=False,
        tickColor=ink.faint,
    )
    return {
        "scale": alt.Scale(
            domain=list(_DOMAINS[percent]),
            range=[0, alt.ExprRef(f"width - {_NUMBERS[percent]}")],
            nice=False,
            zero=False,
        ),
        "axis": axis,
    }
