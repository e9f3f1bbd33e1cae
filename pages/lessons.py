"""Lessons: guided walks, each step a question that is checked against what is open."""

import streamlit as st

from workbench import session
from workbench.frame import begin
from workbench.lessons.overview import overview
from workbench.lessons.place import place
from workbench.lessons.walk import walk


def page() -> None:
    """The whole page."""
    at = place()
    title = "Guided walks" if at is None else at.lesson.title
    lab = begin(
        title,
        "Each step asks a question. Think first, then see the answer: it is measured on the model "
        "that is open, now, and where that does not show what the step is about, the step says so."
        if at is None
        else at.lesson.learnt,
    )
    if lab is None:
        return
    if at is None:
        overview(lab)
        session.write_link()
        return
    session.write_link(**at.to_query())
    with st.container(key="presenting" if at.presenting else "learning"):
        walk(lab, at)


page()
