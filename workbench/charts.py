"""Charts as pure functions of a table."""

from dataclasses import dataclass

import altair as alt
import pandas as pd

LOWEST = -14.0
"""Left end of the scale in nats, the same for every edit so that toggles compare."""

_ROW_HEIGHT, _AXIS_HEIGHT = 25, 60
_LEFT, _RIGHT = LOWEST - 0.5, 4.0


@dataclass(frozen=True)
class Ink:
    """Colours of one theme, from the Okabe-Ito palette."""

    source: str
    target: str
    other: str
    text: str
    faint: str
    paper: str


LIGHT = Ink("#0072B2", "#D55E00", "#6B7280", "#1B1F24", "#D9DDE3", "#FFFFFF")
DARK = Ink("#56B4E9", "#E69F00", "#A3ABB6", "#ECEFF3", "#343B46", "#12151A")


def whose(cities: str, source: str, target: str) -> str:
    """Whether an answer is the source's or the target's; ``other`` when both's or neither's."""
    names = set(cities.split(", "))
    if (source in names) == (target in names):
        return "other"
    return "source" if source in names else "target"


def verdict(answers: pd.DataFrame) -> str:
    """In words which candidate of one attribute the model picks, and picked before."""
    before, after = _picks(answers)
    return f"still {after}" if before == after else f"{before} → {after}"


def _picks(answers: pd.DataFrame) -> tuple[str, str]:
    before = answers.loc[answers["best_before"], "answer"].iloc[0]
    return before, answers.loc[answers["best_after"], "answer"].iloc[0]


def _rows(answers: pd.DataFrame, source: str, target: str) -> pd.DataFrame:
    """One row per line of the chart: each attribute's heading, then its answers.

    ``line`` is what the axis sorts and labels by: number, kind (heading, picked or answer), text.
    """
    rows: list[dict[str, object]] = []
    for attribute, part in answers.groupby("attribute", sort=False):
        roles = {row.answer: whose(row.city, source, target) for row in part.itertuples()}
        before, after = _picks(part)
        rows.append(
            {
                "line": f"{len(rows):02d}h|{attribute if attribute != 'custom' else 'yours'}",
                "heading": verdict(part),
                "moved": before != after,
                "role": roles[after],
            }
        )
        for answer in part.itertuples():
            kind = "p" if answer.best_after else "a"
            rows.append(
                {
                    "line": f"{len(rows):02d}{kind}|{answer.answer}",
                    "attribute": attribute,
                    "answer": answer.answer,
                    "role": whose(answer.city, source, target),
                    "baseline": answer.baseline,
                    "logprob": answer.logprob,
                    "change": answer.change,
                    "from": max(answer.baseline, LOWEST),
                    "to": max(answer.logprob, LOWEST),
                    "shape": _shape(answer.logprob, answer.best_after),
                    "number": _signed(answer.logprob),
                }
            )
    return pd.DataFrame(rows)


def _shape(logprob: float, picked: bool) -> str:
    if logprob < LOWEST:
        return "below the scale"
    return "model's pick" if picked else "answer"


def _signed(nats: float) -> str:
    return f"{nats:.2f}".replace("-", "−")


def answers_chart(
    answers: pd.DataFrame, source: str, target: str, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """Log-probability of every answer before (hollow) and after (filled) an edit.

    Args:
        answers: `metasae.steering.Outcome.answers`.
        source, target: labels as in the table's ``city`` column.
    """
    rows = _rows(answers, source, target)
    lines = list(rows["line"])
    kind = "substring(datum.label, 2, 3)"
    strong = {"condition": {"test": f"{kind} != 'a'", "value": "bold"}, "value": "normal"}
    y = alt.Y(
        "line:N",
        sort=lines,
        scale=alt.Scale(domain=lines),
        axis=alt.Axis(
            title=None,
            labelExpr=f"{kind} == 'h' ? upper(substring(datum.label, 4)) : "
            f"({kind} == 'p' ? '◆ ' : '') + substring(datum.label, 4)",
            labelFontWeight=strong,
            labelFontSize=14,
            labelColor=ink.text,
            labelLimit=150,
            labelOverlap=False,
            labelFlush=False,
            labelPadding=6,
            domain=False,
            ticks=False,
            grid=False,
        ),
    )
    ticks = list(range(int(LOWEST), 1, 2))
    nats = alt.Scale(domain=[_LEFT, _RIGHT], nice=False, zero=False)
    axis = alt.Axis(
        title="log-probability (nats), 0 = certain",
        titleColor=ink.text,
        titleFontSize=13,
        titleFontWeight="normal",
        titleAnchor="start",
        values=ticks,
        labelColor=ink.text,
        labelFontSize=13,
        gridColor=ink.faint,
        domain=False,
        tickColor=ink.faint,
    )
    role = alt.Color(
        "role:N",
        scale=alt.Scale(
            domain=["source", "target", "other"], range=[ink.source, ink.target, ink.other]
        ),
        legend=None,
    )
    base = alt.Chart(rows).encode(y=y)
    answered = base.transform_filter("isValid(datum.logprob)")
    tooltip = [
        alt.Tooltip("attribute:N", title="attribute"),
        alt.Tooltip("answer:N", title="answer"),
        alt.Tooltip("baseline:Q", title="before (nats)", format=".2f"),
        alt.Tooltip("logprob:Q", title="after (nats)", format=".2f"),
        alt.Tooltip("change:Q", title="change (nats)", format="+.2f"),
    ]
    x_after = alt.X("to:Q", scale=nats, axis=axis)
    way = answered.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("from:Q", scale=nats, axis=axis), x2="to:Q", color=role
    )
    before = answered.mark_point(size=110, strokeWidth=2, fill=ink.paper, opacity=1).encode(
        x=alt.X("from:Q", scale=nats, axis=axis), color=role, tooltip=tooltip
    )
    after = answered.mark_point(size=150, opacity=1, filled=True).encode(
        x=x_after,
        color=role,
        shape=alt.Shape(
            "shape:N",
            scale=alt.Scale(
                domain=["answer", "model's pick", "below the scale"],
                range=["circle", "diamond", "triangle-left"],
            ),
            legend=None,
        ),
        size=alt.condition('datum.shape == "model\'s pick"', alt.value(230), alt.value(130)),
        tooltip=tooltip,
    )
    numbers = answered.mark_text(align="left", dx=12, fontSize=14, color=ink.text).encode(
        x=alt.datum(0, scale=nats), text="number:N"
    )
    headings = (
        base.transform_filter("isValid(datum.heading)")
        .mark_text(align="left", dx=4, fontSize=14, fontWeight="bold")
        .encode(
            x=alt.datum(_LEFT, scale=nats),
            text="heading:N",
            color=alt.condition("datum.moved", role, alt.value(ink.text)),
        )
    )
    return alt.layer(way, before, after, numbers, headings).properties(
        height=_ROW_HEIGHT * len(rows) + _AXIS_HEIGHT, width="container"
    )
