"""All studies, each with what it asks, what is published and what was found here."""

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.studies.registry import STUDIES
from metasae.studies.registry import study as named
from metasae.studies.runs import Run, all_runs
from metasae.studies.study import Study
from workbench import visitor
from workbench.allowed import Right
from workbench.frame import failed
from workbench.studies import jobs
from workbench.studies.place import go
from workbench.studies.result import glimpse, headline
from workbench.text import escape, plain


def overview(lab: Lab) -> None:
    """A card a study, two beside each other where there is room."""
    visitor.may_or_said(Right.STUDIES)
    runs = all_runs()
    names = list(STUDIES)
    for at in range(0, len(names), 2):
        for column, name in zip(st.columns(2), names[at : at + 2], strict=False):
            with column, st.container(border=True, height="stretch"):
                _card(named(name), [run for run in runs if _is_of(run, name, lab)])


def _is_of(run: Run, name: str, lab: Lab) -> bool:
    return run.asked.study == name and run.asked.made == lab.provenance


def head(study: Study) -> None:
    """What a study asks, and what is published."""
    st.markdown(f"**{escape(study.question)}**")
    if study.published:
        st.caption(f"Published: {escape(study.published)}")


def _card(study: Study, runs: list[Run]) -> None:
    """One study with the newest of its runs on what is open."""
    st.subheader(escape(study.title), anchor=False)
    head(study)
    under_way = next((run for run in runs if (work := jobs.work_of(run)) and not work.done), None)
    finished = next((run for run in runs if run.finished), None)
    unasked = "Ask it" if visitor.may(Right.STUDIES) else "Look at it"
    shown, label = under_way or finished, "See the whole result" if finished else unasked
    if under_way is not None:
        st.caption("Under way.")
        label = "See how far it is"
    elif finished is not None:
        try:
            found = jobs.result(finished)
        except UserError as error:
            failed(error)
        else:
            first, rest = headline(found.verdict)
            st.markdown(f"**Here:** {escape(first)}")
            if rest:
                st.caption(escape(rest))
            if found.charts:
                glimpse(found, next(iter(found.charts)), f"card-{study.name}")
    else:
        st.caption("Not asked of this SAE yet.")
    st.button(
        label,
        help=plain(study.title),
        key=f"open-{study.name}",
        on_click=go,
        args=(study.name, shown.identity if shown else None),
    )
