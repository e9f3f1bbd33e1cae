"""Buttons that download a file."""

from collections.abc import Callable

import streamlit as st


def download(
    label: str, content: Callable[[], str | bytes], name: str, kind: str, key: str
) -> None:
    """A button that downloads a file; its content is made when it is clicked.

    Args:
        name: of the file.
        kind: its media type.
    """
    # "ignore": the page shows the same before and after, and isn't drawn again.
    st.download_button(
        label, content, name, kind, key=key, icon=":material/download:", on_click="ignore"
    )
