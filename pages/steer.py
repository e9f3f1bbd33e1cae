"""Steer: edit what a language model believes about a city, and watch its answers move."""

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edit_words import edit_in_words
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from workbench import collected, navigation, session, subjects, waiting
from workbench.announce import announce
from workbench.frame import begin, failed
from workbench.shared import meta_titles
from workbench.steer import (
    beside,
    controls,
    experiments,
    extras,
    first_steps,
    reading,
    side_by_side,
)
from workbench.steer.elsewhere import elsewhere
from workbench.steer.meta_boxes import meta_boxes
from workbench.steer.results import TABLES, numbers, pictures, sentences, unedited


def page() -> None:
    """The whole page."""
    lab = begin(
        "Change what a language model believes about a city",
        "Each box is a **meta-latent**, a part of how the model stores a city. Untick one of the "
        "source's, tick one of the target's, and see which of the model's answers move.",
    )
    if lab is None:
        return
    setting = session.view().setting
    subjects.subject_pickers(lab)
    try:
        with st.spinner("Asking the model about the pair …"):
            asked, complaint = experiments.answerable(setting)
            experiments.unedited(asked)
    except UserError as error:
        failed(error)
        session.write_link()
        extras.own_question(setting)
        return
    if complaint is not None:
        failed(complaint)
    steer(lab, setting, asked)


@st.fragment
def steer(lab: Lab, setting: Setting, asked: Setting) -> None:
    """All that depends on the edit: a toggle reruns this and nothing else.

    Args:
        setting: the view's, to see when undo or a file has changed it.
        asked: the same, without a question of the user's that can't be asked.
    """
    if session.view().setting != setting or navigation.leaving():
        st.rerun()
    waiting.make_place("-steer")
    session.show_notice()
    session.write_link()
    view, experiment = session.view(), experiments.get_experiment(asked)
    if view.frozen:  # a link's table is seen at once
        st.session_state.setdefault(TABLES, True)
    steps = st.container(key="first-steps")
    controls.action_bar(lab, experiment, view.edit)
    controls.best_edits(asked, experiment, view.edit)
    # The headline stays in sight for as long as any of the bench is.
    with st.container(key="bench", gap="xsmall"):
        heading = st.container(key="headline")
        left, right = st.columns([5, 7] if view.pinned is None else [4, 8], gap="medium")
        with left:
            meta_boxes(lab, experiment, view.edit)
        try:
            outcome = experiments.get_outcome(asked, view.edit)
            pinned = None if view.pinned is None else experiments.get_outcome(asked, view.pinned)
        except UserError as error:
            with heading:
                failed(error)
            return
        with heading:
            sentences(lab, outcome, pinned)
            # The edit too: a tick that moves no answer is heard as well.
            done = edit_in_words(view.edit, outcome.pieces, meta_titles(lab))
            announce(f"{outcome.sentence} This edit: {done}.")
        with right:
            pictures(outcome, pinned)
            unedited(experiments.unedited(asked))
    elsewhere(asked.without_question(), view.edit)
    st.divider()
    numbers(outcome, lambda: beside.frozen_attention(asked, view.edit))
    with st.container(key=first_steps.BELOW):
        below(lab, setting, asked, outcome)
    # Measured once for a pair, which takes a moment: everything else is there before.
    with steps, st.spinner("Measuring the first steps …"):
        first_steps.first_steps(lab, asked, view.edit)


def below(lab: Lab, setting: Setting, asked: Setting, outcome: Outcome) -> None:
    """What stands below the edit; only the tab that is open is drawn, so a tick costs no other."""
    parts = {
        extras.WRITING: lambda: extras.free_writing(asked, outcome),
        "Ask your own question": lambda: extras.own_question(setting),
        reading.TAB: lambda: reading.reading(lab, asked, outcome),
        side_by_side.TAB: lambda: side_by_side.beside(lab, asked, outcome.edit),
        "Save and share": lambda: save_and_share(lab, outcome),
        "What is this?": lambda: extras.about(lab),
    }
    if reading.linked_text():
        st.session_state["below"] = reading.TAB
    if side_by_side.linked():
        st.session_state["below"] = side_by_side.TAB
    tabs = st.tabs(list(parts), key="below", on_change="rerun")
    for tab, draw in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def save_and_share(lab: Lab, outcome: Outcome) -> None:
    """The list of what was collected, then link and files of this edit."""
    try:
        collected.add(collected.this_edit(), "edit")
    except UserError as error:
        failed(error)
    collected.the_list(lab)
    extras.files(lab, outcome)


page()
