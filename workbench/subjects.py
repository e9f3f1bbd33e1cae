"""Who is edited, and towards whom: the pickers of source and target."""

import streamlit as st

from metasae.lab.lab import Lab
from workbench import session


def subject_pickers(lab: Lab) -> None:
    """Source and target, and the button that exchanges them."""
    setting = session.view().setting
    names = lab.city_names()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _subject_picker("source", "Source: the name to change", setting.source, names)
        st.button(
            "",
            icon=":material/swap_horiz:",
            help="Exchange source and target",
            key="exchange",
            on_click=lambda: session.change(session.view().swapped()),
        )
        _subject_picker("target", "Target: where its traits come from", setting.target, names)


def _subject_picker(side: str, label: str, value: str, names: tuple[str, ...]) -> None:
    key = f"pick-{side}"

    def picked() -> None:
        chosen = st.session_state[key]
        if chosen:
            session.change_setting(**{side: chosen.strip()})

    options = names if value in names else (value, *names)
    st.session_state[key] = value
    st.selectbox(
        label,
        options,
        key=key,
        on_change=picked,
        accept_new_options=True,
        width=300,
        help="A city of the list, any other name, word or phrase you type, or latents by "
        "number: #123 or #12, #45.",
    )
