"""The workbench's face: its name, its mark, and the style sheet."""

from pathlib import Path

import streamlit as st

from workbench.charts.ink import LIGHT, Ink

NAME = "Meta-SAE workbench"

_SHEET = Path(__file__).with_name("look.css")


def mark(ink: Ink = LIGHT) -> str:
    """The mark as SVG: one direction and the pieces it is made of."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">'
        f"{_shapes(ink)}</svg>"
    )


def wordmark(ink: Ink) -> str:
    """The mark with the name beside it, as SVG."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 236 32" width="236" height="32">'
        f'{_shapes(ink)}<text x="42" y="22" font-family="system-ui, sans-serif" font-size="18" '
        # Whichever font is there, the name ends where the picture does.
        f'font-weight="600" textLength="190" lengthAdjust="spacingAndGlyphs" '
        f'fill="{ink.text}">{NAME}</text></svg>'
    )


def _shapes(ink: Ink) -> str:
    """A bar above, and below it the two parts it comes apart into."""
    return (
        f'<rect x="2" y="5" width="28" height="9" rx="4.5" fill="{ink.other}"/>'
        f'<rect x="2" y="18" width="16" height="9" rx="4.5" fill="{ink.source}"/>'
        f'<rect x="20" y="18" width="10" height="9" rx="4.5" fill="{ink.target}"/>'
    )


def configure() -> None:
    """The browser tab's title and icon; the first call of a run."""
    st.set_page_config(
        page_title=NAME,
        page_icon=mark(),
        layout="wide",
        initial_sidebar_state="collapsed",
    )


def put_on(ink: Ink) -> None:
    """The style sheet, and name and mark in the page's head.

    Args:
        ink: of the theme on screen.
    """
    st.html(_SHEET)
    st.logo(wordmark(ink), size="large")
