"""Runs that are under way in this process, kept for all sessions, and results that were read."""

import streamlit as st

from metasae.lab.lab import Lab
from metasae.studies import runs
from metasae.studies.kept_meta_saes import recipe
from metasae.studies.result_folder import RESULT, StoredFinding
from metasae.studies.runs import Run
from metasae.training.meta_sae import seconds_a_step
from metasae.training.rows import TensorRows
from workbench.background import Work, kept


@st.cache_resource(show_spinner=False)
def _works() -> dict[str, Work[StoredFinding]]:
    """By the run's identity."""
    return {}


def work_of(run: Run) -> Work[StoredFinding] | None:
    """The work on a run: under way, or ended without a result; None where there is none."""
    work = _works().get(run.identity)
    if work is not None and work.done and run.finished:
        # What it found is on disk; kept here it would stay in memory.
        _works().pop(run.identity, None)
        return None
    return work


def start(lab: Lab, run: Run, name: str) -> None:
    """Begin a run or go on with it, unless it is under way.

    Args:
        name: of the work, as the beginning of a sentence.
    """
    work = _works().get(run.identity)
    if work is None or work.done:
        _works()[run.identity] = Work(lambda progress: run.answer(lab, progress), name, long=True)


@kept(max_entries=4)
def _seconds_of_step(meta_sae: str, _lab: Lab) -> Work[float]:
    rows = TensorRows(_lab.decomposition.sae.W_dec)
    return Work(lambda _: seconds_a_step(rows, recipe(_lab, 0)), "Timing a few steps")


def seconds_of_training(lab: Lab) -> float:
    """How long another meta-SAE like the open one takes here, by a few steps that are timed once.

    Raises:
        UserError: when none can be trained.
    """
    return _seconds_of_step(lab.provenance.meta_sae, lab) * recipe(lab, 0).steps


def delete(run: Run) -> None:
    """Delete a run that is not under way.

    Raises:
        UserError: when it is, or can't be deleted.
    """
    run.delete()
    _works().pop(run.identity, None)


def result(run: Run) -> StoredFinding:
    """What a finished run found, read once.

    Raises:
        UserError: when it can't be read.
    """
    path = run.folder / runs.RESULT / RESULT
    return _read(run.identity, path.stat().st_mtime_ns if path.exists() else 0, run)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(identity: str, changed: int, _run: Run) -> StoredFinding:
    return _run.result()
