"""A typed text read token by token: the strongest latents, and what the model expects next."""

from dataclasses import replace
from math import exp
from typing import Any

import pandas as pd
import streamlit as st

from metasae.explorer.explorer import Explorer
from metasae.explorer.token_table import ReadText, fires_in_words, latent_on, read_text
from metasae.lab.lab import Lab
from metasae.steering.nats import nats
from workbench import session, shared
from workbench.explore.contexts import marked
from workbench.frame import ink
from workbench.navigation import LATENTS, go, move
from workbench.picking import choose
from workbench.state import DENSITIES, View
from workbench.text import escape, share, visible

_STRONGEST = 3
"""Latents of a token that are named."""


def try_text(explorer: Explorer, width: int, latent: int) -> None:
    """A text a person types, with one latent's activation on each of its tokens."""
    key = f"try-{width}-{latent}"

    def typed() -> None:
        move(**{"try": " ".join(st.session_state[key].split()) or None})

    text = st.query_params.get("try", "")[:300]
    st.session_state[key] = text
    st.text_input(
        "Does it fire on your own text?",
        placeholder="Type any text",
        max_chars=300,
        key=key,
        on_change=typed,
    )
    if not text.strip():
        return
    table = latent_on(explorer, width, latent, text)
    # A massive activation, on which no latent is read, is no number.
    table = table.fillna({"activation": 0.0})
    top = float(table["activation"].max())
    cells = []
    for row in table.to_dict("records"):
        number = f"{row['activation']:.1f}"
        part = row["activation"] / top if top else 0.0
        cells.append(marked(row["token"], part, f"activation {number}", ink(), number))
    st.html(f'<div style="line-height:2;overflow-wrap:anywhere">{"".join(cells)}</div>')
    st.caption(fires_in_words(table, lambda token: escape(visible(token).lstrip("␣"))))


def token_by_token(explorer: Explorer, width: int, text: str) -> None:
    """A text as a table: each token with its strongest latents and what the model expected.

    Rows lead to the token's latents on the Latents page. What is left out is in the link.

    Raises:
        UserError: for a text the model can't read.
    """
    counted = explorer.evidence(width) is not None
    _filters(counted)
    chosen = session.view().reading
    known = explorer.corrections.to_json(), counted, explorer.table(str(width)) is not None
    densest = chosen.densest if counted else None
    read = _read(explorer.lab, width, text, densest, chosen.start, known)
    table = _table(read, chosen.start)
    # The first column names the place that a row leads to.
    choose(
        table, "token-table", lambda row: go(
            LATENTS, width=width, q=text, token=int(row["#"]) or None
        ),
        {
            "#": st.column_config.NumberColumn(width=30),
            "token": st.column_config.TextColumn(width="small"),
            "its probability": st.column_config.TextColumn(
                width=120, help="What the model gave this token after those before it, in nats "
                "and percent"
            ),
            "expected next": st.column_config.TextColumn(
                width=150, help="The likeliest token after this one, in nats and percent"
            ),
        },
        height=420,
    )  # fmt: skip
    left = f" {read.left_out:,} more are denser and left out." if read.left_out else ""
    often = "; behind them the share of all tokens each fires on" if counted else ""
    st.caption(
        f"The {_STRONGEST} strongest latents of each token, with activation and label{often}."
        f"{left} Choose a row to see all of a token's."
    )


def _filters(counted: bool) -> None:
    """What is left out, as widgets.

    Args:
        counted: whether it is known how often latents fire.
    """
    density, first = "dense-filter", "start-filter"

    def change(**chosen: Any) -> None:
        view = session.view()
        session.change(replace(view, reading=replace(view.reading, **chosen)))

    def left_out(view: View) -> float:
        return (view.reading.densest if counted else None) or 0.0

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Leave out latents that fire on more than",
            [0.0, *DENSITIES],
            format_func=lambda one: f"{100 * one:g} % of all tokens" if one else "leave none out",
            key=density,
            width=320,
            disabled=not counted,
            on_change=session.shows(
                density, left_out, lambda densest: change(densest=densest or None)
            ),
            help="How often a latent fires is counted where its evidence was collected.",
        )
        st.toggle(
            "Start token, too",
            key=first,
            on_change=session.shows(
                first, lambda view: view.reading.start, lambda start: change(start=start)
            ),
            help="The token in front of every text. SAEs weren't trained on it, so its latents "
            "mean little.",
        )


@shared.of_lab(most=8)
def _read(
    lab: Lab, width: int, text: str, densest: float | None, start: bool, known: tuple[object, ...]
) -> ReadText:
    """See `token_table.read_text`."""
    return read_text(shared.get_explorer(lab), width, text, _STRONGEST, densest, start)


def _table(read: ReadText, start: bool) -> pd.DataFrame:
    """A row a token; the start token only where it is asked for."""
    rows = []
    for one in read.rows(start):
        latents = [
            f"#{row['latent']} {row['label']}  {row['activation']:.1f}{_often(row['density'])}"
            for row in one["latents"]
        ]
        latents += [""] * (_STRONGEST - len(latents))
        rows.append(
            {
                "#": one["position"],
                "token": visible(one["token"]),
                "its probability": "" if one["position"] == 0 else _chance(one["logprob"]),
                "expected next": f"{visible(one['next'])}  {_chance(one['next_logprob'])}",
                **{f"latent {rank}": text for rank, text in enumerate(latents, 1)},
            }
        )
    return pd.DataFrame(rows)


def _chance(logprob: float) -> str:
    return f"{nats(logprob)} ({share(exp(logprob))})"


def _often(density: float) -> str:
    return "" if density != density else f"  ({density:.2%})"
