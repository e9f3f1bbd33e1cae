"""What can be a page of its own: a latent, a graph, a search."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import altair as alt
import networkx as nx
import pandas as pd

from metasae.errors import UserError
from metasae.explorer import graph as graphs
from metasae.explorer.explorer import Explorer
from metasae.explorer.graph_chart import OKABE_ITO
from metasae.explorer.graph_files import exported
from metasae.explorer.latent_page import LatentPage
from metasae.explorer.svg import svg_of
from metasae.exports.directions import made_of
from metasae.exports.reading import json_object
from metasae.exports.standalone_page import Page, renamed
from metasae.exports.target import told, without_path
from metasae.steering.nats import settled

MOST_CONTEXTS = 20
"""Contexts of a latent on its page."""


@dataclass(frozen=True)
class GraphPage:
    """Latents, their meta-latents, and the latents these are in.

    Attributes:
        latents: where it starts.
    """

    explorer: Explorer
    latents: tuple[int, ...]

    @cached_property
    def graph(self) -> nx.Graph:
        """What is drawn.

        Raises:
            UserError: for no latent, or one out of range.
        """
        return graphs.readable(graphs.around(self.explorer.lab.decomposition, self.latents))


@dataclass(frozen=True)
class SearchPage:
    """What a search reached, as ``search --json`` prints it."""

    values: Mapping[str, Any]

    @staticmethod
    def read(path: Path) -> "SearchPage":
        """A search from its file.

        Raises:
            UserError: when there is none, or it is none.
        """
        page = SearchPage(json_object(path, _no_search(path)))
        try:
            search_page(page)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _no_search(path) from error
        return page


def _no_search(path: Path) -> UserError:
    return UserError(f"{path} holds no search; give a file that search --json printed.")


def latent_page(one: LatentPage) -> Page:
    """A latent's page."""
    explorer = one.explorer
    label, about = explorer.label(one.kind, one.latent), asdict(made_of(explorer, one.width))
    page = Page(f"Latent {one.latent} of {one.width:,}: {label}".rstrip(": "))
    page.heading("Its meta-latents")
    if len(one.pieces):
        names = [
            f"{meta} {called}".strip()
            for meta, called in zip(one.pieces["meta"], one.pieces["called"], strict=True)
        ]
        page.picture(_bars(names, one.pieces["activation"].tolist(), about), "Its meta-latents")
    page.table(
        renamed(one.pieces, {"meta": "Meta-latent", "called": "Called", "activation": "Activation"})
    )
    page.paragraph(f"{one.unexplained:.0%} of its squared length is in none of them.")
    page.heading("Nearest latents")
    page.table(renamed(one.nearest, {"latent": "Latent", "called": "Called", "cosine": "Cosine"}))
    page.heading("Tokens its direction promotes and suppresses")
    ends = zip(("Promoted", "Suppressed"), one.vocabulary_ends, strict=True)
    columns = {name: [repr(token) for token in table["token"]] for name, table in ends}
    page.table(pd.DataFrame(columns))
    text = explorer.text(one.width)
    if text is not None:
        page.heading("Where it fires")
        for shown in one.snippets(text)[:MOST_CONTEXTS]:
            page.tokens(shown.tokens)
    page.made_with(about)
    return page


def _bars(names: list[str], values: list[float], about: Mapping[str, object]) -> str:
    rows = pd.DataFrame({"name": names, "value": values})
    chart = (
        alt.Chart(rows)
        .mark_bar(color=OKABE_ITO[4])
        .encode(
            x=alt.X("value:Q", title="activation"),
            y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=420)),
        )
        .properties(width=420)
    )
    return svg_of(chart.to_dict(), about)


def graph_page(one: GraphPage) -> Page:
    """A graph's page."""
    explorer = one.explorer
    about = asdict(told(explorer.lab))

    def name_of(kind: str, index: int) -> str:
        return explorer.label(explorer.of_node(kind), index)

    starts = ", ".join(f"{latent} {name_of('latent', latent)}".strip() for latent in one.latents)
    page = Page(f"What latents share: {starts}")
    page.picture(
        exported(one.graph, "svg", name_of, about), "The graph; its lines are listed below"
    )
    page.heading("Lines")
    rows = []
    for first, second, weight in one.graph.edges(data="weight"):
        latent, meta = (first, second) if first[0] == "latent" else (second, first)
        rows.append(
            {
                "Latent": latent[1], "Called": name_of(*latent), "Meta-latent": meta[1],
                "Called ": name_of(*meta), "Activation": float(weight),
            }
        )  # fmt: skip
    page.table(pd.DataFrame(rows).sort_values("Activation", ascending=False) if rows
               else pd.DataFrame())  # fmt: skip
    page.made_with(about)
    return page


def search_page(one: SearchPage) -> Page:
    """A search's page."""
    values = one.values
    page = Page(f"What could be moved: {values['source']} → {values['target']}")
    page.paragraph(f"{values['combinations']:,} combinations, {values['scored']:,} of them scored.")
    for remark in values.get("remarks", ()):
        page.paragraph(str(remark))
    rows = []
    for found in values["patterns"]:
        moved = [name for name, yes in found["pattern"].items() if yes]
        changes = (f"{meta} → {value:g}" for meta, value in found["edit"]["strengths"].items())
        margin = found["margin"]
        rows.append(
            {
                "Moved": ", ".join(moved) or "nothing",
                "By (nats)": "" if margin is None else f"{settled(margin):.2f}",
                "Meta-latent → strength": ", ".join(changes) or "no change",
                "What the edit did": str(found["sentence"]),
            }
        )
    page.heading("The clearest edit of every pattern")
    page.table(pd.DataFrame(rows))
    page.made_with({name: without_path(str(values[name])) for name in _MADE if name in values})
    return page


_MADE = ("preset", "model", "hook", "sae", "meta_sae", "version")

MAKERS: dict[type, Callable[[Any], Page]] = {
    LatentPage: latent_page, GraphPage: graph_page, SearchPage: search_page,
}  # fmt: skip
"""By the kind of thing."""
