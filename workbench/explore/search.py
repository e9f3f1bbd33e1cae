"""Finding latents: by number, by a word, by a text they fire on."""

import random

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer
from workbench import shared
from workbench.explore.place import Place
from workbench.frame import failed, said
from workbench.navigation import address, go
from workbench.picking import choose
from workbench.text import escape, visible


def search_bar(explorer: Explorer, at: Place) -> None:
    """Number, word or any text; the width; a latent at random."""
    text, width, dice = st.columns([6, 3, 1], vertical_alignment="bottom")
    key = f"search-{at.query}"

    def searched() -> None:
        typed = " ".join(st.session_state[key].split())
        number = typed.removeprefix("#").strip()
        if number.isdecimal():
            st.session_state[key] = at.query
            address(latent=number, width=at.width)
        else:
            address(latent=at.latent, width=at.width, **({"q": typed} if typed else {}))

    st.session_state.setdefault(key, at.query)
    text.text_input(
        "Search",
        placeholder="A number, a word, a city, or any text: “She flew to Tokyo”",
        max_chars=300,
        key=key,
        on_change=searched,
    )
    wide = f"width-{at.width}"

    def widened() -> None:
        chosen = st.session_state[wide]
        go(latent=min(at.latent, chosen - 1), width=chosen)

    width.selectbox(
        "SAE",
        explorer.widths,
        explorer.widths.index(at.width),
        format_func=lambda one: f"{one:,} latents",
        key=wide,
        on_change=widened,
    )
    dice.button(
        "", icon=":material/casino:", help="A latent at random", key="dice",
        on_click=lambda: go(latent=random.randrange(at.width), width=at.width),
    )  # fmt: skip
    if at.query:
        _hits(explorer, at)
        if at.width == explorer.lab.n_latents:
            _as_name(explorer, at)


def _hits(explorer: Explorer, at: Place) -> None:
    kind = str(at.width)
    try:
        shared.open_width(explorer, at.width)
        named = explorer.find(kind, at.query)
        fires = explorer.firing_on(at.width, at.query)
    except UserError as error:
        failed(error)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Fires on “{escape(at.query)}”**, token by token")
        shown = fires.assign(token=[visible(token) for token in fires["token"]])
        choose(
            shown[["token", "activation", "latent", "label"]],
            "fires",
            lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
            {"activation": st.column_config.NumberColumn(format="%.1f")},
        )
    with right:
        st.markdown("**Its label or words say so**")
        if named.empty:
            st.caption("No label, word or city matches.")
        else:
            choose(
                named.rename(columns={"index": "latent"}),
                "named",
                lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
            )


def _as_name(explorer: Explorer, at: Place) -> None:
    """The latents of what was searched, taken as a name."""
    names = explorer.lab.names
    try:
        record = names.record(at.query)
    except UserError:  # a text too long to be a name
        return
    if not record.latents:
        return
    st.markdown(f"**As a name**: on “{escape(record.name)}” at the end of neutral sentences")
    said(filter(None, (names.sharing(record), names.meant(record))))
    table = pd.DataFrame(
        {
            "latent": one.latent,
            "activation": one.activation,
            "selectivity": one.selectivity,
            "own": one.own,
            "label": explorer.label(str(at.width), one.latent),
        }
        for one in record.latents
    )
    choose(
        table,
        "as-name",
        lambda row: go(latent=int(row["latent"]), width=at.width, q=at.query),
        {
            "activation": st.column_config.NumberColumn(format="%.1f"),
            "selectivity": st.column_config.NumberColumn(
                format="%.2f", help="Share of its activation over this and all reference names"
            ),
        },
    )
