"""One study: what it asks, the run that is open, how to ask it, its former runs."""

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.studies.result_folder import StoredFinding
from metasae.studies.runs import Run, all_runs
from metasae.studies.study import Study
from workbench import session, visitor
from workbench.allowed import Right
from workbench.background import Work, watch
from workbench.frame import failed
from workbench.picking import choose
from workbench.studies import jobs
from workbench.studies.ask import ask
from workbench.studies.overview import head
from workbench.studies.place import go
from workbench.studies.result import result, settings_in_words
from workbench.text import escape


def view(lab: Lab, study: Study, run: Run | None, typed: Mapping[str, str]) -> Mapping[str, str]:
    """Everything about one study.

    Args:
        typed: settings that are not asked yet.

    Returns:
        Those there are now.
    """
    st.button("All studies", key="all-studies", icon=":material/arrow_back:", on_click=go)
    st.header(escape(study.title), anchor=False)
    head(study)
    return run_or_ask(lab, study, run, typed)


Typed = Mapping[str, str]
"""Settings that were changed and are not asked yet, as text."""

Ask = Callable[[Lab, Study, Run | None, Typed], Typed]
Show = Callable[[Lab, Study, Run, StoredFinding], None]


def run_or_ask(
    lab: Lab, study: Study, run: Run | None, typed: Typed, ask: Ask = ask, show: Show = result
) -> Typed:
    """The run that is open, how to ask, the study's former runs.

    Args:
        ask: draws the settings and the button that asks the study.
        show: draws what a run found.

    Returns:
        The settings that are not asked yet.
    """
    if run is None:
        typed = ask(lab, study, None, typed)
    else:
        typed = _opened(lab, study, run, typed, ask, show)
    _former(study, run)
    return typed


def _opened(lab: Lab, study: Study, run: Run, typed: Typed, ask: Ask, show: Show) -> Typed:
    """How far a run is, or what it found; the settings that are not asked yet."""
    work = jobs.work_of(run)
    if work is not None and not work.done:
        if work.cancelled:
            _stopping(work)
        else:
            watch(work, visitor.may(Right.STUDIES))
            st.caption("It goes on while you look at other pages, and when this one is closed.")
        return typed
    if run.finished:
        try:
            show(lab, study, run, jobs.result(run))
        except UserError as error:
            failed(error)
            _go_on(lab, study, run, "Work it out again")
            return typed
        st.subheader("Ask it otherwise", anchor=False)
        typed = ask(lab, study, run, typed)
        _delete(run, "This deletes what this run found.")
        return typed
    if run.is_running:
        st.info("Another process works on this run. Come back later.")
        st.button("Look again", key="look-again")
        return typed
    if work is not None:
        try:
            work.result()
        except UserError as error:
            failed(error)
    st.markdown(
        "It was stopped before its end. What was worked out is kept, and it goes on from there."
        if run.begun
        else "It was stopped before anything was worked out that could be kept."
    )
    _go_on(lab, study, run, "Go on")
    return typed


def _go_on(lab: Lab, study: Study, run: Run, label: str) -> None:
    if not visitor.may_or_said(Right.STUDIES):
        return
    with st.container(horizontal=True):
        try:
            run.check_opened(lab)
        except UserError as error:
            st.caption(escape(str(error)))
        else:
            st.button(
                label, type="primary", key=f"go-on-{run.identity}",
                on_click=visitor.needs(Right.STUDIES)(jobs.start), args=(lab, run, study.title),
            )  # fmt: skip
        _delete(run, "This deletes what this run worked out so far.")


@st.fragment(run_every=0.5)
def _stopping(work: Work[StoredFinding]) -> None:
    """Until work that was cancelled has stopped."""
    if work.done:
        st.rerun()
    st.caption("Stopping; what was worked out stays …")


def _delete(run: Run, what: str) -> None:
    """A button that deletes a run once the person has said so again."""
    if not visitor.may(Right.STUDIES):
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"{what} It can't be brought back.")
        st.button(
            "Delete for good", type="primary", key=f"delete-{run.identity}",
            on_click=_deleted, args=(run,),
        )  # fmt: skip


@visitor.needs(Right.STUDIES)
def _deleted(run: Run) -> None:
    try:
        jobs.delete(run)
    except UserError as error:
        session.notify(str(error))
        return
    go(run.asked.study)


def _former(study: Study, shown: Run | None) -> None:
    """The study's other runs, newest first."""
    others = [run for run in all_runs(study.name) if shown is None or run != shown]
    if not others:
        if shown is None and not visitor.may(Right.STUDIES):
            st.caption("It wasn't asked here yet; what its host asks is shown here.")
        return
    st.subheader("Other runs" if shown else "Runs so far", anchor=False)
    st.caption("Choose one to see what it found.")
    table = pd.DataFrame([_row(run) for run in others])
    choose(table, "former-runs", partial(_open, study.name, others), height=300)


def _row(run: Run) -> dict[str, object]:
    work = jobs.work_of(run)
    state = "under way" if work and not work.done else "finished" if run.finished else "stopped"
    return {
        "Begun": run.began[:16].replace("T", " "),
        "State": state,
        "Preset": run.asked.made.preset,
        "Meta-SAEs": run.asked.seeds,
        "Settings": settings_in_words(run.asked.configuration),
        "Run": run.identity,
    }


def _open(study: str, others: list[Run], row: "pd.Series[str]") -> None:
    go(study, str(row["Run"]))
