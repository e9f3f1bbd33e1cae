"""Trainings that run, were stopped, or have ended."""

import math
from dataclasses import asdict

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.sources import cache
from metasae.training.unfinished import TrainingRequest, unfinished_trainings
from workbench import visitor
from workbench.allowed import Right
from workbench.charts.training import curve_in_words, training_curve
from workbench.frame import failed, ink
from workbench.text import escape
from workbench.train import trainings
from workbench.train.shelf import delete, delete_made, report, use
from workbench.train.trainings import Training


def progress_of_all(lab: Lab) -> None:
    """Every training of this process: how far it is, or what came out."""
    for out, training in list(trainings.trainings().items()):
        if out.parent != cache.meta_saes(lab.preset.kept_as):
            if not training.work.done:
                st.info(
                    f"Another training is running: “{escape(out.name)}” for the preset "
                    f"{escape(out.parent.name)}. Open that one to see it."
                )
            continue
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(out.name)}”", anchor=False)
            if training.work.done:
                _ended(lab, training)
            else:
                _running(training)


def stopped(lab: Lab) -> None:
    """Trainings that a closed or killed workbench left; each can go on where it was."""
    for request in unfinished_trainings(cache.meta_saes(lab.preset.kept_as)):
        name = request.out.name
        if request.out in trainings.trainings():
            continue
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(name)}”", anchor=False)
            what = (
                f"({request.config.width:,} meta-latents, k {request.config.k}, "
                f"{request.config.steps:,} steps)"
            )
            if request.is_running:
                st.markdown(f"Running in another process {what}.")
                st.caption("Of " + escape(", ".join(request.sources)))
                continue
            st.markdown(f"Stopped before its end {what}. What was done is kept.")
            st.caption("Of " + escape(", ".join(request.sources)))
            if not visitor.may(Right.TRAINING):
                continue
            with st.container(horizontal=True):
                if st.button("Resume", key=f"resume-{name}", type="primary"):
                    _resume(request)
                delete(
                    f"forget-{name}",
                    f"This deletes what was trained of “{escape(name)}” so far.",
                    request.forget,
                )


def _resume(request: TrainingRequest) -> None:
    try:
        directions = trainings.get_directions(request.sources)
    except UserError as error:
        failed(error)
        return
    trainings.trainings()[request.out] = Training(
        directions, request.config, request.controls, request.out, request.initial
    )
    st.rerun()


@st.fragment(run_every=1.0)
def _running(training: Training) -> None:
    if training.work.done:
        st.rerun()
    st.progress(training.work.fraction, text=training.work.line)
    if visitor.may(Right.TRAINING):
        st.button("Cancel", key=f"cancel-{training.out.name}", on_click=training.cancel)
    _curve(training)


def _curve(training: Training) -> None:
    if len(training.moments) > 1:
        table = pd.DataFrame([asdict(one) for one in list(training.moments)])
        st.altair_chart(training_curve(table, ink()), alt=curve_in_words(table))
        config = training.config
        if config.active(0) > config.k:
            st.caption(
                f"It begins with {config.active(0)} meta-latents a direction and has {config.k} by "
                f"step {math.ceil(config.settled * config.steps):,}; while they become fewer the "
                "loss may rise."
            )


def _ended(lab: Lab, training: Training) -> None:
    name = training.out.name
    try:
        made = training.work.result()
    except UserError as error:
        failed(error)
        if not visitor.may(Right.TRAINING):
            return
        with st.container(horizontal=True):
            if st.button("Resume", key=f"again-{name}", type="primary"):
                trainings.trainings()[training.out] = training.again()
                st.rerun()
            _close(training)
        return
    report(made)
    _curve(training)
    use(lab, training.out, made)
    if not visitor.may(Right.TRAINING):
        return
    with st.container(horizontal=True):
        _close(training)
        delete_made(lab, training.out)


def _close(training: Training) -> None:
    """A button that puts a training that has ended out of sight; what it made stays."""
    if st.button("Close", key=f"close-{training.out.name}"):
        # Another session may have been quicker.
        trainings.trainings().pop(training.out, None)
        st.rerun()
