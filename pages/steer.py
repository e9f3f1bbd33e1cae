"""Steer: edit what a language model believes about a city, and watch its answers move."""

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from workbench import controls, extras, opening, results, session
from workbench.state import Setting


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("Change what a language model believes about a city", anchor=False)
    st.markdown(
        "Each box is a **meta-latent**, a part of how the model stores a city. Untick one of the "
        "source's, tick one of the target's, and see which of the model's answers move."
    )
    session.show_notice()
    setting = session.view().setting
    lab = results.lab_or_retry(setting.preset)
    if lab is None:
        return
    controls.subject_pickers(lab)
    try:
        asked, complaint = opening.answerable(setting)
    except UserError as error:
        results.failed(error)
        session.write_link()
        return
    if complaint is not None:
        results.failed(complaint)
    steer(lab, setting, asked)


@st.fragment
def steer(lab: Lab, setting: Setting, asked: Setting) -> None:
    """All that depends on the edit: a toggle reruns this and nothing else.

    Args:
        setting: the view's, to see when undo or a file has changed it.
        asked: the same, without a question of the user's that can't be asked.
    """
    if session.view().setting != setting:
        st.rerun()
    session.show_notice()
    session.write_link()
    view, experiment = session.view(), opening.get_experiment(asked)
    controls.action_bar(experiment, view.edit)
    controls.best_edits(asked, experiment, view.edit)
    heading = st.container()
    left, right = st.columns([5, 7] if view.pinned is None else [4, 8], gap="medium")
    with left:
        controls.meta_boxes(lab, experiment, view.edit)
    try:
        outcome = opening.get_outcome(asked, view.edit)
        pinned = None if view.pinned is None else opening.get_outcome(asked, view.pinned)
    except UserError as error:
        with heading:
            results.failed(error)
        return
    with heading:
        results.sentences(lab, outcome, pinned)
    with right:
        results.pictures(outcome, pinned)
    st.divider()
    results.numbers(outcome)
    tabs = st.tabs(
        ["Let it write", "Ask your own question", "Latents used", "Save and share", "What is this?"]
    )
    with tabs[0]:
        extras.free_writing(asked, outcome)
    with tabs[1]:
        extras.own_question(setting)
    with tabs[2]:
        extras.latents(lab, asked, experiment)
    with tabs[3]:
        extras.files(lab, outcome)
    with tabs[4]:
        extras.about(lab)


page()
