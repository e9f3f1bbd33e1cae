"""Charts as pure functions of a table."""

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import pandas as pd

LOWEST = -14.0
"""Left end of the scale in nats, the same for every edit so that toggles compare."""

_MOST_POINTS = 4000
"""Combinations a picture shows at most; a seeded sample of more."""

_OKABE_ITO = [
    "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442", "#999999",
]  # fmt: skip

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
                "line": f"{len(rows):02d}h|{'yours' if attribute == 'custom' else str(attribute)}",
                "heading": verdict(part),
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
                    "baseline": one["baseline"],
                    "logprob": one["logprob"],
                    "change": one["change"],
                    "from": max(one["baseline"], LOWEST),
                    "to": max(one["logprob"], LOWEST),
                    "shape": _shape(one["logprob"], one["best_after"]),
                    "number": f"{one['logprob']:.2f}".replace("-", "−"),
                }
            )
    return rows


def _shape(logprob: float, picked: bool) -> str:
    if logprob < LOWEST:
        return "below the scale"
    return "model's pick" if picked else "answer"


def answers_chart(
    answers: pd.DataFrame, source: str, target: str, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """Log-probability of every answer before (hollow) and after (filled) an edit.

    Args:
        answers: `metasae.steering.Outcome.answers`.
        source, target: labels as in the table's ``city`` column.
    """
    return _drawn(_rows(answers, source, target), ink)


def answers_spec(
    answers: pd.DataFrame, source: str, target: str, ink: Ink = LIGHT
) -> dict[str, Any]:
    """`answers_chart` as a Vega-Lite specification, in a tenth of the time.

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


def leads_chart(
    table: pd.DataFrame, across: str, up: str, source: str, target: str, ink: Ink = LIGHT
) -> alt.LayerChart | alt.FacetChart:
    """Every combination by how far the target's answer leads the source's on two questions.

    Args:
        table: columns ``lead <attribute>`` (nats), ``moves``, ``margin``, ``combination``.
        across, up: attributes.
    """
    shown = table.rename(columns={f"lead {across}": "x", f"lead {up}": "y"})
    shown = shown[["x", "y", "moves", "margin", "combination"]]
    if len(shown) > _MOST_POINTS:
        shown = shown.sample(_MOST_POINTS, random_state=0)
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
                scale=alt.Scale(range=_OKABE_ITO),
                legend=alt.Legend(
                    orient="bottom",
                    columns=2,
                    labelLimit=320,
                    labelColor=ink.text,
                    titleColor=ink.text,
                    labelFontSize=13,
                ),
            ),
            shape=alt.Shape("moves:N", title="what moves"),
            tooltip=[
                alt.Tooltip("moves:N", title="moves"),
                alt.Tooltip("x:Q", title=f"{across} (nats)", format="+.2f"),
                alt.Tooltip("y:Q", title=f"{up} (nats)", format="+.2f"),
                alt.Tooltip("margin:Q", title="margin (nats)", format=".2f"),
                alt.Tooltip("combination:Q", title="combination", format="d"),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]}))
    rules = zero.mark_rule(color=ink.other, strokeDash=[4, 4])
    return alt.layer(
        rules.encode(x=alt.X("zero:Q", axis=plain, title=title(across))),
        rules.encode(y=alt.Y("zero:Q", axis=plain, title=title(up))),
        points,
    ).properties(height=420)


def pairs_chart(counts: pd.DataFrame, ink: Ink = LIGHT) -> alt.LayerChart | alt.FacetChart:
    """Patterns each ordered pair reaches, as a matrix.

    Args:
        counts: columns ``source``, ``target``, ``patterns``.
    """
    axis = alt.Axis(labelColor=ink.text, titleColor=ink.text, labelFontSize=13, titleFontSize=13)
    base = alt.Chart(counts).encode(
        x=alt.X("target:N", title="target", axis=axis),
        y=alt.Y("source:N", title="source", axis=axis),
    )
    cells = base.mark_rect(stroke=ink.paper, strokeWidth=2).encode(
        color=alt.Color(
            "patterns:Q",
            scale=alt.Scale(domain=[0, 16], range=[ink.faint, ink.source]),
            legend=None,
        ),
        tooltip=["source:N", "target:N", "patterns:Q"],
    )
    numbers = base.mark_text(fontSize=15, color=ink.text).encode(text="patterns:Q")
    return alt.layer(cells, numbers).properties(width=alt.Step(64), height=alt.Step(44))


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
        bands: columns ``from``, ``to`` and ``tokens`` (`metasae.evidence.Evidence.histogram`).
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
