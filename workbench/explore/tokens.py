"""A typed text as a row of tokens that can be chosen, each as deep in colour as it fires."""

import pandas as pd
import streamlit as st

from metasae.explorer.explorer import Explorer
from workbench.charts.ink import Ink
from workbench.explore.contexts import behind
from workbench.explore.place import Place
from workbench.frame import ink
from workbench.navigation import go
from workbench.text import escape, visible


def token_row(explorer: Explorer, at: Place, firing: pd.DataFrame) -> str | None:
    """The text's tokens, side by side as it is written; one that was chosen gives way when it is
    chosen again.

    Args:
        firing: see `metasae.explorer.explorer.Explorer.firing_on`.

    Returns:
        The token the address names; None where it names none.
    """
    model = explorer.lab.model
    tokens = [model.decode(one) for one in model.prompt_tokens(at.query)]
    strongest = firing.groupby("position")["activation"].max()
    top = float(strongest.max()) if len(strongest) else 1.0
    shares = [float(strongest.get(place, 0.0)) / top for place in range(len(tokens))]
    st.html(f"<style>{_style(tokens, shares, at.token, ink())}</style>")
    # The start token stands before the text and is none of it.
    with st.container(horizontal=True, gap=None, key="tokens"):
        for place in range(1, len(tokens)):
            chosen = place == at.token
            st.button(
                escape(visible(tokens[place]).lstrip("␣")) or "␣",
                key=f"token-{place}",
                type="tertiary",
                help=_told(firing, place),
                on_click=go,
                kwargs={"width": at.width, "q": at.query, "token": None if chosen else place},
            )
    if at.token is None or not 0 < at.token < len(tokens):
        return None
    return tokens[at.token].strip() or tokens[at.token]


def _told(firing: pd.DataFrame, place: int) -> str:
    """A token's strongest latent in words."""
    here = firing[firing["position"] == place]
    if here.empty:
        return "No latent fires here, or the model is so strong here that none is read."
    best = here.iloc[0]
    return f"{best['activation']:.1f} on #{best['latent']} {escape(str(best['label']))}"


def _style(tokens: list[str], shares: list[float], chosen: int | None, ink: Ink) -> str:
    """Colours and spaces of the row, token by token."""
    rules = [
        ".st-key-tokens button{min-height:0;padding:2px 1px;border-radius:3px;"
        f"color:{ink.text};font-size:1.15rem;line-height:1.5}}"
        ".st-key-tokens button p{font-size:inherit}"
    ]
    for place, (token, share) in enumerate(zip(tokens, shares, strict=True)):
        here = f".st-key-token-{place}"
        if share > 0:
            rules.append(f"{here} button{{background:{behind(share, ink)}}}")
        if token.startswith(" "):
            rules.append(f"{here}{{margin-left:.3em}}")
        if place == chosen:
            rules.append(f"{here} button{{outline:2px solid {ink.source};outline-offset:1px}}")
    return "".join(rules)


def token_list(table: pd.DataFrame, value: str = "", most: int = 6) -> str:
    """Tokens as Markdown, the most extreme first.

    Args:
        table: column token, and that of ``value``.
        value: column of numbers that stand behind the tokens; none when left out.
    """
    parts = []
    for _, row in table.head(most).iterrows():
        number = f" {row[value]:+.1f}".replace("-", "−") if value else ""
        parts.append(f"**{escape(visible(str(row['token'])))}**{number}")
    return ", ".join(parts) or "nothing"
