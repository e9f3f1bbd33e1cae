"""A step's picture, drawn."""

import html

import streamlit as st

from metasae.lessons.lesson import Bars, Picture, Texts
from workbench.charts.ink import Ink
from workbench.charts.lessons import bars_chart
from workbench.explore.contexts import context_html, tag
from workbench.frame import ink
from workbench.steer import results


def picture(shown: Picture, key: str) -> None:
    """Draw what is beside a question or an answer."""
    if isinstance(shown, Bars):
        words = "; ".join(f"{one.name}: {one.told}" for one in shown.bars)
        st.altair_chart(bars_chart(shown, ink()), key=key, alt=f"{shown.title}. {words}")
    elif isinstance(shown, Texts):
        st.html(texts_html(shown, ink()))
    else:
        st.markdown(results.legend(shown))
        results.picture(shown, key)


def texts_html(texts: Texts, ink: Ink) -> str:
    """Texts below each other; a word is the deeper in colour the more strongly it fires."""
    top = max((value for one in texts.snippets for _, value in one.tokens), default=0.0)
    rows = []
    for number, one in enumerate(texts.snippets):
        name = html.escape(texts.names[number]) if texts.names else ""
        rows.append(
            '<div style="padding:.5rem 0;overflow-wrap:anywhere">'
            + (f'<div style="color:{ink.other}">{name}</div>' if name else "")
            + f"{context_html(one, top, ink)} {tag(one, ink) if one.source else ''}</div>"
        )
    size = 1.6 if len(rows) == 1 else 1.1
    return f'<div style="font-size:{size}rem;line-height:1.6">{"".join(rows)}</div>'
