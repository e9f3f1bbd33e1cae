"""Trainings that run, were stopped, or have ended."""

import math
from dataclasses import asdict

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.sources import cache
from metasae.training.unfinished import TrainingRequest, unfinished_trainings
from workbench.charts.training import training_curve
from workbench.frame import failed, ink
from workbench.text import escape
from workbench.train import trainings
from workbench.train.shelf import report, use
from workbench.train.trainings import Training


def progress_of_all(lab: Lab) -> None:
    """Every training of this process: how far it is, or what came out."""
    for name, training in list(trainings.trainings().items()):
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(name)}”", anchor=False)
            if training.work.done:
                _ended(lab, name, training)
            else:
                _running(name, training)


def stopped(lab: Lab) -> None:
    """Trainings that a closed or killed workbench left; each can go on where it was."""
    for request in unfinished_trainings(cache.meta_saes(lab.preset.kept_as)):
        name = request.out.name
        if name in trainings.trainings():
            continue
        with st.container(border=True):
            st.subheader(f"Meta-SAE “{escape(name)}”", anchor=False)
            st.markdown(
                f"Stopped before its end ({request.config.width:,} meta-latents, "
                f"k {request.config.k}, {request.config.steps:,} steps). What was done is kept."
            )
            st.caption("Of " + escape(", ".join(request.sources)))
            with st.container(horizontal=True):
                if st.button("Go on", key=f"resume-{name}", type="primary"):
                    _resume(request)
                if st.button("Delete", key=f"forget-{name}"):
                    request.forget()
                    st.rerun()


def _resume(request: TrainingRequest) -> None:
    try:
        directions = trainings.get_directions(request.sources)
    except UserError as error:
        failed(error)
        return
    trainings.trainings()[request.out.name] = Training(
        directions, request.config, request.controls, request.out, request.initial
    )
    st.rerun()


@st.fragment(run_every=1.0)
def _running(name: str, training: Training) -> None:
    if training.work.done:
        st.rerun()
    st.progress(training.work.fraction, text=training.work.line)
    st.button("Cancel", key=f"cancel-{name}", on_click=training.cancel)
    _curve(training)


def _curve(training: Training) -> None:
    if len(training.moments) > 1:
        table = pd.DataFrame([asdict(one) for one in list(training.moments)])
        st.altair_chart(training_curve(table, ink()))
        config = training.config
        if config.active(0) > config.k:
            st.caption(
                f"It begins with {config.active(0)} meta-latents a direction and has {config.k} by "
                f"step {math.ceil(config.settled * config.steps):,}; while they become fewer the "
                "loss may rise."
            )


def _ended(lab: Lab, name: str, training: Training) -> None:
    try:
        made = training.work.result()
    except UserError as error:
        failed(error)
        with st.container(horizontal=True):
            if st.button("Go on", key=f"again-{name}", type="primary"):
                trainings.trainings()[name] = training.again()
                st.rerun()
            if st.button("Close", key=f"close-{name}"):
                del trainings.trainings()[name]
                st.rerun()
        return
    report(made)
    _curve(training)
    use(lab, name, made)
