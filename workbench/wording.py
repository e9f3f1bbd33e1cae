"""In which words the four questions are asked: one choice for Steer and Enumerate."""

import streamlit as st

from metasae.text.prompts import WORDINGS
from workbench import session

NAMES = {
    "default": "the words it knows most by",
    "post": "the post's words",
    "reworded": "other words",
}
"""How the wordings are called on screen."""

_KEY = "wording"


def wording_picker() -> None:
    """The choice; it changes the view's setting."""

    def picked(wording: str) -> None:
        session.change_setting(wording=wording)

    st.selectbox(
        "Questions in",
        list(WORDINGS),
        format_func=NAMES.__getitem__,
        key=_KEY,
        on_change=session.shows(_KEY, lambda view: view.setting.wording, picked),
        width=260,
        help="\n".join(
            f"- **{NAMES[name]}**: " + "; ".join(f"“{text} …”" for text in asked.values())
            for name, asked in WORDINGS.items()
        ),
    )
