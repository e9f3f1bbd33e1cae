"""The four steps to begin with, as buttons with a sentence each."""

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.steering.edits import Edit
from workbench import announce, limits, session, shared
from workbench.state import Setting
from workbench.steer import experiments, extras
from workbench.steer.steps import Measured, Step, measured, steps
from workbench.text import escape, plain

BELOW = "below-the-edit"
"""Key of the container that holds what stands below the edit."""


@shared.of_lab(limits.PAIRS, "The first steps are measured")
def _measured(_: Lab, setting: Setting) -> Measured:
    return measured(experiments.get_experiment(setting))


def lesson(lab: Lab, setting: Setting, edit: Edit) -> None:
    """The steps; the one that is on screen stands out."""
    asked = setting.without_question()
    try:
        found = _measured(lab, asked)
    except UserError:  # it can be asked the user's own question only
        return
    made = steps(found, shared.meta_titles(lab))
    if not made:
        return
    with st.grid(4, min_column_width=140, gap="small", key="steps"):
        for number, step in enumerate(made, 1):
            with st.container(gap="xxsmall"):
                _button(number, step, asked, edit)
                # No line begins with a percent sign.
                st.markdown(escape(step.sentence).replace(" %", "\u00a0%"))


def _button(number: int, step: Step, asked: Setting, edit: Edit) -> None:
    def stepped() -> None:
        if step.writes:
            extras.let_write(asked, step.edit)
            announce.bring_into_view(BELOW)
        else:
            session.change_edit(step.edit)

    here = edit == step.edit and not step.writes
    st.button(
        plain(f"{number} · {step.name}"),
        key=f"step-{number}",
        type="primary" if here else "secondary",
        width="stretch",
        wrap=True,
        on_click=stepped,
    )
