"""What stands around every page's content: errors, a way to try again, the theme's colours."""

from collections.abc import Iterable

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.sources.presets import Opened
from metasae.training.trainer import Stopped
from workbench import glossary, session, shared, sidebar
from workbench.background import Cancelled
from workbench.charts.ink import DARK, LIGHT, Ink
from workbench.open_line import open_line
from workbench.text import escape


def failed(error: UserError) -> None:
    """What went wrong, in its one sentence; what a person stopped did not go wrong."""
    stopped = isinstance(error, Cancelled | Stopped)
    (st.info if stopped else st.error)(escape(str(error)))


def said(remarks: Iterable[str]) -> None:
    """What has to be said beside some numbers, a line each."""
    for remark in remarks:
        st.caption(escape(remark))


def begin(title: str, text: str) -> Lab | None:
    """A page's head, with what went wrong before it; the opened preset.

    Args:
        text: under the title, as Markdown; the words of the field in it are explained beside it.

    Returns:
        None where it can't be opened: why is drawn, and the page ends here.
    """
    session.read_link()
    with st.container(key="head", gap="xxsmall"):
        st.title(title, anchor=False)
        words = glossary.in_text(text)
        st.markdown(text, help=glossary.explained(*words) if words else None)
    session.show_notice()
    return lab_or_retry(session.view().setting.preset)


def lab_or_retry(preset: Opened) -> Lab | None:
    """The opened preset; where that fails, why and a way to try again are drawn instead.

    Another can be chosen beside it in either case.
    """
    sidebar.presets()
    try:
        lab = shared.get_lab(preset)
    except UserError as error:
        failed(error)
        st.button("Try again")
        session.write_link()
        open_line(preset, None)
        return None
    open_line(preset, lab)
    session.open_on(lab.opening)
    made_with = session.restored()
    if made_with and (other := lab.provenance.other_than(made_with)):
        session.notify(f"{other}: its numbers may be others.")
    return lab


def ink() -> Ink:
    """The chart colours of the theme on screen."""
    return DARK if st.context.theme.type == "dark" else LIGHT
