"""The four steps to begin with, as buttons with a sentence each."""

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lessons.first_steps import Step, steps
from metasae.lessons.walks import fact
from metasae.steering.edits import Edit
from metasae.steering.setting import Setting
from workbench import announce, navigation, session, shared, waiting
from workbench.lessons import asking
from workbench.steer import extras
from workbench.text import escape, plain, shorten

BELOW = "below-the-edit"
"""Key of the container that holds what stands below the edit."""

_SHOWN = 28
"""Characters of a meta-latent's title in a sentence."""


def first_steps(lab: Lab, setting: Setting, edit: Edit) -> None:
    """The steps; the one that is on screen stands out."""
    asked = setting.without_question()
    try:
        with waiting.said("The first steps are measured"):
            found = asking.bench(lab, asked).once(fact.first_steps)
    except UserError:  # it can be asked the user's own question only
        return
    title = shared.meta_titles(lab)
    made = steps(found, lambda meta: shorten(title(meta), _SHOWN))
    if not made:
        return
    with st.grid(4, min_column_width=140, gap="small", key="steps"):
        for number, step in enumerate(made, 1):
            with st.container(gap="xxsmall"):
                _button(number, step, asked, edit)
                # No line begins with a percent sign.
                st.markdown(escape(step.sentence).replace(" %", "\u00a0%"))
    st.button(
        "Take these steps as a lesson",
        key="as-lesson",
        type="tertiary",
        icon=":material/school:",
        on_click=lambda: navigation.go(navigation.LESSONS, lesson=fact.LESSON.name),
    )


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
