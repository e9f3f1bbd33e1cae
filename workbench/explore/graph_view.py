"""The parts of the Graph page: what it starts from, the picture, the table that does the same."""

import html
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import networkx as nx
import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer import graph, graph_files
from metasae.explorer.explorer import META, Explorer
from metasae.explorer.graph_chart import graph_chart, group_colours, node_table
from metasae.lab.lab import Lab
from workbench import session, shared
from workbench.charts.ink import Ink
from workbench.explore.place import asked_width
from workbench.explore.place import starts as opening_latents
from workbench.files import download
from workbench.frame import ink
from workbench.navigation import METAS, go, keep_link, move
from workbench.picking import choose, choose_point
from workbench.text import escape, one_way

_MOST = 6
"""Latents a graph may start from."""

_LONGEST = 24
"""Characters of a label in the picture."""

_LINKED = "graph-linked"
"""Session key: what the address was last made to say of the sliders."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class _Slider(Generic[Number]):
    """A slider whose value is in the address.

    Attributes:
        usual: the value that is left out of the address.
    """

    key: str
    usual: Number
    low: Number
    high: Number

    @property
    def value(self) -> Number:
        """What it is at."""
        value: Number = st.session_state[self.key]
        return value

    def read(self, text: str) -> None:
        """Move it to a number of the address; to the usual one where that is none it has."""
        try:
            value = type(self.usual)(text)
        except ValueError:
            value = self.usual
        st.session_state[self.key] = value if self.low <= value <= self.high else self.usual


_DEPTH = _Slider("graph-depth", 1, 1, 2)
_TOP = _Slider("graph-top", 5, 1, 12)
_LEAST = _Slider("graph-least", 0.0, 0.0, 0.6)

_SLIDERS: dict[str, _Slider[Any]] = {"depth": _DEPTH, "top": _TOP, "least": _LEAST}
"""By the address's parameter."""


def starts(explorer: Explorer) -> tuple[int, ...]:
    """The latents the address names; those of the opening pair of cities without one.

    Raises:
        UserError: for something else than numbers, or a latent out of range.
    """
    text = st.query_params.get("latent", "")
    if not text:
        return opening_latents(explorer)
    numbers = re.findall(r"\d+", text)
    if not numbers or re.sub(r"[\d#\s.,]", "", text) or any(len(one) > 9 for one in numbers):
        raise UserError(f'"{text[:60]}" names no latents; write numbers like 12, 40.')
    found_latents = tuple(dict.fromkeys(map(int, numbers)))[:_MOST]
    for latent in found_latents:
        explorer.lab.decomposition.check(latent)
    return found_latents


def controls(explorer: Explorer, now: tuple[int, ...]) -> tuple[int, int, float]:
    """What it starts from, how far it goes."""
    what, depth, top, least = st.columns([5, 2, 2, 2], vertical_alignment="bottom")
    text = ", ".join(map(str, now))
    key = f"starts-{text}"

    def typed() -> None:
        try:
            named, remarks = _named(explorer, st.session_state[key])
        except UserError as error:
            session.notify(str(error))
        else:
            if remarks:
                session.notify(" ".join(remarks), wrong=False)
            move(latent=",".join(map(str, named)))
        st.session_state[key] = text

    st.session_state.setdefault(key, text)
    moved = _asked() != st.session_state.get(_LINKED)
    for name, slider in _SLIDERS.items():
        # A slider that was moved is ahead of the address; an address that was changed, of sliders.
        if moved or slider.key not in st.session_state:
            slider.read(_asked()[name])
    what.text_input(
        "Latents to start from", key=key, max_chars=200, on_change=typed,
        help="Numbers or any names, six at most: Tokyo, hamster, #12",
    )  # fmt: skip
    steps = depth.slider(
        "Steps", _DEPTH.low, _DEPTH.high, key=_DEPTH.key,
        help="How often it goes from latents to their meta-latents and on to the latents of those",
    )  # fmt: skip
    count = top.slider(
        "Latents around each", _TOP.low, _TOP.high, key=_TOP.key,
        help="How many latents are drawn around a meta-latent: those it is most active on",
    )  # fmt: skip
    threshold = least.slider(
        "Activation from", _LEAST.low, _LEAST.high, step=0.05, key=_LEAST.key,
        help="Where a meta-latent is less active on a latent, no line is drawn",
    )  # fmt: skip
    return steps, count, threshold


def _asked() -> dict[str, str]:
    """What the address says of the sliders."""
    return {name: st.query_params.get(name, "") for name in _SLIDERS}


def _named(explorer: Explorer, typed: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Latents by number or by name, and what has to be said of the names.

    Raises:
        UserError: for nothing, and whatever `graph.latents_named` raises.
    """
    latents, remarks = graph.latents_named(explorer.lab, list(filter(str.strip, typed.split(","))))
    if not latents:
        raise UserError("Name at least one latent to start the graph from.")
    return latents[:_MOST], remarks


@shared.of_lab(most=8)
def _made(
    lab: Lab,
    latents: tuple[int, ...],
    depth: int,
    top: int,
    least: float,
    known: tuple[object, ...],
) -> tuple[nx.Graph, nx.Graph, pd.DataFrame]:
    """A graph, the part of it that is drawn, and that part's nodes.

    Args:
        known: labels there are, and those people wrote: when they change, so do the nodes' names.
    """
    explorer = shared.get_explorer(lab)
    made = graph.around(lab.decomposition, latents, depth, top, least)
    drawn = graph.readable(made)
    return made, drawn, node_table(drawn, _namer(explorer))


def _namer(explorer: Explorer) -> Callable[[str, int], str]:
    return lambda kind, index: explorer.label(explorer.of_node(kind), index)


def draw(explorer: Explorer, latents: tuple[int, ...], depth: int, top: int, least: float) -> None:
    """The picture, what its colours mean, the table that does the same; either recentres."""
    tables = (explorer.table(kind) is not None for kind in (META, str(explorer.lab.n_latents)))
    known = (explorer.corrections.to_json(), *tables)
    with st.spinner("Drawing the graph …"):
        made, drawn, nodes = _made(explorer.lab, latents, depth, top, least, known)
    colours = ink()
    chart = graph_chart(
        drawn, nodes, colours.other, colours.text, colours.paper, _LONGEST, still=False
    ).properties(height=620, width="container")
    choose_point(
        chart,
        "graph",
        "picked",
        lambda node: _open(explorer, str(node["kind"]), int(node["index"])),
        alt_text=_told(nodes, drawn.number_of_edges()),
    )
    if sentence := graph.left_out(made, drawn):
        st.info(sentence)
    st.html(_legend(nodes, colours))
    st.caption(
        "The thicker a line, the stronger the meta-latent's activation. Click a node to go there. "
        "Hold Ctrl (or ⌘) and turn the wheel to zoom in, drag to move, double-click to see all: "
        "names that have no room appear as you zoom in."
    )
    with st.expander("The same as a table"):
        choose(
            nodes.sort_values(["kind", "links"], ascending=[False, False])[
                ["kind", "index", "label", "links", "community"]
            ],
            "graph-nodes",
            lambda row: _open(explorer, str(row["kind"]), int(row["index"])),
            {
                "index": st.column_config.NumberColumn("number"),
                "links": st.column_config.NumberColumn("lines", help="How many lines it has"),
                "community": st.column_config.NumberColumn(
                    "group",
                    help="Those of a group have more lines among each other than to others",
                ),
            },
            height=520,
        )
    _shared(explorer, made)
    _files(explorer, made, drawn)


def _told(nodes: pd.DataFrame, lines: int) -> str:
    """The picture in a sentence."""
    latents = int((nodes["kind"] == "latent").sum())
    return (
        f"{latents} latents and {len(nodes) - latents} meta-latents with {lines} lines between "
        "them; the table below says the same"
    )


def _legend(nodes: pd.DataFrame, ink: Ink) -> str:
    """What shapes and colours mean, as HTML."""

    def entry(mark: str, says: str) -> str:
        return (
            '<span style="display:inline-flex;align-items:center;gap:6px;min-width:0">'
            f"{mark}<span>{html.escape(one_way(says))}</span></span>"
        )

    def mark(colour: str, radius: str, size: int = 12, line: int = 1) -> str:
        return (
            f'<span aria-hidden="true" style="flex:none;width:{size}px;height:{size}px;'
            f'background:{colour};border:{line}px solid {ink.text};border-radius:{radius}"></span>'
        )

    entries = [
        entry(mark("transparent", "0"), "meta-latent"),
        entry(mark("transparent", "50%"), "latent"),
        entry(mark("transparent", "50%", 18, 3), "where it starts"),
        *(
            entry(mark(colour, "2px"), f"group {name}" if name[0].isdigit() else name)
            for name, colour in group_colours(nodes, _LONGEST).items()
        ),
    ]
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.875rem;color:{ink.text}">'
        f"{''.join(entries)}</div>"
    )


def _open(explorer: Explorer, kind: str, index: int) -> None:
    if kind == "latent":
        move(latent=index)
    else:
        # All that the page will say, or Back would first undo what it added.
        go(METAS, meta=index, width=asked_width(explorer))


def _shared(explorer: Explorer, made: nx.Graph) -> None:
    """What the starting latents have in common and what is each one's own, in words."""
    begun = [index for (_, index), start in made.nodes(data="start") if start]
    if len(begun) < 2:
        return
    pieces = {latent: set(explorer.lab.decomposition.pieces(latent)) for latent in begun}
    common = set.intersection(*pieces.values())
    kind = str(explorer.lab.n_latents)
    st.subheader("What they share", anchor=False)
    st.markdown(_listed(explorer, common) or "No meta-latent is in all of them.")
    for latent, mine in pieces.items():
        others = set().union(*(one for other, one in pieces.items() if other != latent))
        own = _listed(explorer, mine - others) or "none"
        st.markdown(f"Only in **{escape(explorer.named(kind, latent))}**: {own}")


def _listed(explorer: Explorer, metas: set[int]) -> str:
    return " · ".join(escape(explorer.named(META, meta)) for meta in sorted(metas))


def _files(explorer: Explorer, made: nx.Graph, drawn: nx.Graph) -> None:
    """Downloads, and the statistics of the graph of all latents."""
    about = asdict(explorer.lab.provenance)

    def content(fmt: str) -> Callable[[], str]:
        return lambda: graph_files.exported(
            drawn if fmt == "svg" else made, fmt, _namer(explorer), about
        )

    with st.container(horizontal=True):
        for fmt, name, kind in (
            ("svg", "SVG", "image/svg+xml"),
            ("graphml", "GraphML", "application/xml"),
            ("json", "JSON", "application/json"),
        ):
            download(name, content(fmt), f"latents.{fmt}", kind, f"graph-{fmt}")
        st.caption("PNG: the menu at the picture's corner.")
    with st.expander("The graph of all latents"):
        least = st.slider("Join two latents from a shared weight of", 0.0, 0.6, 0.1, 0.05)
        if st.button("Count", key="count-whole"):
            values = graph.projected(explorer.lab.decomposition, least).statistics()
            st.dataframe(
                pd.DataFrame({"figure": list(values), "value": list(values.values())}),
                hide_index=True,
            )
        st.caption(
            "Two latents are joined when the sum over their shared meta-latents of the product of "
            "both activations reaches the weight. As a networkx object: "
            "metasae.explorer.graph.projected(lab.decomposition, threshold).graph()"
        )


def keep_graph_link(latents: tuple[int, ...]) -> None:
    """Put what is shown into the address; what is as usual is left out."""
    shown = {
        name: None if slider.value == slider.usual else slider.value
        for name, slider in _SLIDERS.items()
    }
    keep_link(latent=",".join(map(str, latents)), **shown)
    st.session_state[_LINKED] = _asked()
