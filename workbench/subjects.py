"""Who is edited, and towards whom: the pickers of source and target."""

import streamlit as st

from metasae.lab.lab import Lab
from metasae.text.names import one_line
from workbench import session


def subject_pickers(lab: Lab) -> None:
    """Source and target, and the button that exchanges them."""
    setting = session.view().setting
    names = lab.city_names()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _subject_picker("source", "Source: the city or name to change", setting.source, names)
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
        if chosen := one_line(st.session_state[key] or ""):
            session.change_setting(**{side: chosen})

    options = names if value in names else (value, *names)
    st.session_state[key] = value
    st.selectbox(
        label,
        options,
        key=key,
        on_change=picked,
        accept_new_options=True,
        width=300,
        help="One of these cities, whose facts are known; or type any other city, person, animal, "
        'word or phrase, or latents by number, like "#123" or "#12, #45".',
    )
