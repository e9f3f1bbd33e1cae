"""Finding latents: by number, by a word, by a text they fire on."""

import random

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from metasae.explorer.matching import NAME_WORDS, matches
from metasae.lab.lab import Lab
from workbench import shared
from workbench.explore.place import Place
from workbench.explore.tokens import token_row
from workbench.explore.typed import token_by_token
from workbench.files import download_table
from workbench.frame import failed, said
from workbench.navigation import address, go
from workbench.picking import choose
from workbench.text import escape

_TABLE = "token-by-token"
"""Session key: whether the table of the text's tokens is unfolded."""


def search_bar(explorer: Explorer, at: Place) -> None:
    """Number, word or any text; the width; a latent at random."""
    text, width, dice = st.columns([6, 3, 2], vertical_alignment="bottom")
    key = f"search-{at.query}"

    def searched() -> None:
        typed = " ".join(st.session_state[key].split())
        number = typed.removeprefix("#").strip()
        if number.isdecimal():
            st.session_state[key] = at.query
            address(latent=number, width=at.width)
        elif typed:
            address(width=at.width, q=typed)
        else:
            address(latent=at.latent, width=at.width)

    st.session_state.setdefault(key, at.query)
    text.text_input(
        "Search",
        placeholder="A number, a name, or “She flew to Tokyo”",
        max_chars=600,
        key=key,
        on_change=searched,
    )
    wide = f"width-{at.width}"

    def widened() -> None:
        chosen = st.session_state[wide]
        latent = None if at.latent is None else min(at.latent, chosen - 1)
        go(latent=latent, width=chosen, q=at.query if latent is None else None)

    width.selectbox(
        "SAE",
        explorer.widths,
        explorer.widths.index(at.width),
        format_func=lambda one: f"{one:,} latents",
        key=wide,
        on_change=widened,
    )
    dice.button(
        "Any latent", icon=":material/casino:", help="Opens a latent at random", key="dice",
        on_click=lambda: go(latent=random.randrange(at.width), width=at.width), width="stretch",
    )  # fmt: skip


def back_to_matches(at: Place) -> None:
    """From a latent that was found, the way back to what else was."""
    st.button(
        f"All that matches “{escape(at.query)}”", icon=":material/arrow_back:", key="to-matches",
        on_click=lambda: go(width=at.width, q=at.query), type="tertiary",
    )  # fmt: skip


def found(explorer: Explorer, at: Place) -> None:
    """What a search found: its text token by token, and the list of the latents that match."""
    try:
        shared.open_width(explorer, at.width)
        known = explorer.corrections.to_json(), explorer.table(str(at.width)) is not None
        with st.spinner("Looking for latents …"):
            firing = _firing(explorer.lab, at.width, at.query, known)
            table = _matches(explorer.lab, at.width, at.query, known)
    except UserError as error:
        failed(error)
        return
    st.caption(
        f"“{escape(at.query)}”, token by token: the deeper the colour, the more strongly its "
        "strongest latent fires. Choose a token to see its latents alone."
    )
    here = token_row(explorer, at, firing)
    expander = st.expander("Token by token, with the words the model expected", key=_TABLE,
                           on_change="rerun")  # fmt: skip
    if expander.open:
        with expander:
            token_by_token(explorer, at.width, at.query)
    if here is not None:
        part = firing[firing["position"] == at.token]
        st.subheader(f"Latents that fire on “{escape(here)}”", anchor=False)
        _list(part[["latent", "label", "activation"]], at)
        return
    st.subheader("Matching labels and latents", anchor=False)
    _about_name(explorer, at)
    _list(table, at)


def _list(table: pd.DataFrame, at: Place) -> None:
    if table.empty:
        st.info("Nothing fires there, and no label matches.")
        return
    st.caption(f"{len(table):,} latents. Choose one to open it.")
    choose(
        table, "matches", lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
        {
            "latent": st.column_config.NumberColumn(width="small"),
            "activation": st.column_config.NumberColumn(
                format="%.1f", width="small", help="The largest on a token of the text"
            ),
            "why": st.column_config.TextColumn("why it matches", width="large"),
        },
        height=560,
    )  # fmt: skip
    download_table(table, "latents", "matches-csv")


@shared.of_lab(most=8)
def _firing(lab: Lab, width: int, typed: str, known: tuple[object, ...]) -> pd.DataFrame:
    """See `Explorer.firing_on`."""
    return shared.get_explorer(lab).firing_on(width, typed)


@shared.of_lab(most=8)
def _matches(lab: Lab, width: int, typed: str, known: tuple[object, ...]) -> pd.DataFrame:
    """See `matching.matches`."""
    firing = _firing(lab, width, typed, known)
    return matches(shared.get_explorer(lab), width, typed, firing)


def _about_name(explorer: Explorer, at: Place) -> None:
    """What has to be said of what was searched, taken as a name."""
    if at.width != explorer.lab.n_latents or len(at.query.split()) > NAME_WORDS:
        return
    names = explorer.lab.names
    try:
        record = names.record(at.query)
    except UserError:  # more tokens than a name has
        return
    said(filter(None, (names.sharing(record), names.meant(record))))
