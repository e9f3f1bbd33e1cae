"""Contexts as marked-up text, each with where it is from."""

import html
from collections.abc import Sequence

import streamlit as st

from metasae.explorer.evidence import Snippet
from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.frame import ink
from workbench.navigation import move
from workbench.text import one_way

_STRONGEST = {LIGHT: "#F2B33D", DARK: "#7A5200"}
"""Colour behind the strongest token, by theme: the theme's text stands out on it and on all
between it and the paper."""

_PALEST = 0.25
"""How far the colour behind the weakest token is from the paper, towards the strongest's."""

SOURCES = {
    "wikipedia-en": "Wikipedia",
    "wikipedia-fr": "Wikipedia, French",
    "wikipedia-es": "Wikipedia, Spanish",
    "factbook": "World Factbook",
}
"""What sources of text are called on screen; any other by its own name."""

WRITTEN = "written for training"
"""The tag of a context that is from none of them."""


def behind(share: float, ink: Ink) -> str:
    """The colour behind a token, as "#rrggbb".

    Args:
        share: of the largest activation, up to 1.
    """
    depth = _PALEST + (1 - _PALEST) * min(1.0, max(0.0, share))
    parts = []
    for at in (1, 3, 5):
        low, high = (int(colour[at : at + 2], 16) for colour in (ink.paper, _STRONGEST[ink]))
        parts.append(round(low + depth * (high - low)))
    return "#" + "".join(f"{part:02x}" for part in parts)


def snippets_html(snippets: Sequence[Snippet], top: float, ink: Ink = LIGHT) -> str:
    """Contexts as marked-up text: the stronger the activation, the deeper the colour.

    Args:
        top: the activation that has the deepest.
    """
    rows = []
    for one in snippets:
        peak = max((value for _, value in one.tokens), default=0.0)
        rows.append(
            '<div style="padding:5px 0;overflow-wrap:anywhere">'
            f'<span style="color:{ink.other};font-variant-numeric:tabular-nums">{peak:.1f}</span>'
            f"&ensp;…{context_html(one, top, ink)}… {tag(one, ink)}</div>"
        )
    return f'<div style="font-size:.9rem;line-height:1.5">{"".join(rows)}</div>'


def context_html(context: Snippet, top: float, ink: Ink) -> str:
    """A context's tokens as HTML, coloured where it fires.

    Args:
        top: the activation that has the deepest colour.
    """
    return "".join(
        marked(token, value / max(top, 1e-9), f"activation {value:.1f}", ink)
        for token, value in context.tokens
    )


def marked(token: str, share: float, told: str, ink: Ink, number: str = "") -> str:
    """A token as HTML, with a colour behind it.

    Args:
        share: of the largest value; at 0 there is no colour.
        told: what is said of the token where a pointer rests on it.
        number: shown small behind the token.
    """
    text = html.escape(one_way(token.replace("\n", "⏎")))
    if share <= 0:
        return text
    # A space in front stays outside, where it is seen as one.
    word = text.lstrip(" ")
    small = whole = ""
    if number:
        whole = ";white-space:nowrap"
        style = "font-size:.7em;line-height:0"
        small = f'<sub style="{style}">&thinsp;{html.escape(number)}</sub>'
    return (
        f'{text[: len(text) - len(word)]}<mark style="background:{behind(share, ink)};'
        f'color:{ink.text};border-radius:3px{whole}" title="{html.escape(told)}">'
        f"{word}{small}</mark>"
    )


def tag(one: Snippet, ink: Ink) -> str:
    """Where a context is from; in a frame, if it was written for training."""
    name = WRITTEN if one.written else SOURCES.get(one.source, one.source)
    frame = f"border:1px solid {ink.other};border-radius:3px;padding:0 5px;" if one.written else ""
    return (
        f'<span style="{frame}color:{ink.other};font-size:.75rem;white-space:nowrap">'
        f"{html.escape(one_way(name))}</span>"
    )


def real_text_switch() -> bool:
    """A switch that leaves out what was written for training; whether it is on is in the link."""
    key = "real-text"

    def switched() -> None:
        move(real="1" if st.session_state[key] else None)

    on = st.query_params.get("real") == "1"
    st.session_state[key] = on
    st.toggle(
        "Real text only",
        key=key,
        on_change=switched,
        help="Besides Wikipedia and the World Factbook, this project's SAEs were trained on "
        "sentences that were written for it and say nothing but a name: “They talked about Tokyo "
        "again.” On leaves those out.",
    )
    return on


def contexts(shown: Sequence[Snippet], top: float, real: bool, most: int | None = None) -> None:
    """Contexts, and how many of them were written for training.

    Args:
        real: whether those are left out.
        most: contexts that are drawn of those that aren't.
    """
    written = sum(one.written for one in shown)
    kept = [one for one in shown if not (real and one.written)]
    if kept:
        st.html(snippets_html(kept[:most], top, ink()))
    if written and not kept:
        st.info(
            f"All {len(shown)} contexts were written for training. Switch “Real text only” off to "
            "see them."
            if len(shown) > 1
            else "The one context was written for training. Switch “Real text only” off to see it."
        )
    elif written and real:
        st.caption(f"{written} of {len(shown)} contexts left out: {WRITTEN}.")
