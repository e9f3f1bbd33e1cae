"""Buttons that download a file, and fields that take one in."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.sources.spreadsheets import csv_text
from workbench import session


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


def download_table(table: pd.DataFrame, name: str, key: str, label: str = "CSV") -> None:
    """A button that downloads a table as CSV.

    Args:
        name: of the file, without its ending.
    """
    download(label, partial(csv_text, table), f"{name}.csv", "text/csv", key)


def take_in(label: str, key: str, take: Callable[[bytes], None]) -> None:
    """A field that takes in a JSON file; what is wrong with it is said by the run that follows.

    Args:
        take: called once with the file's content; a `UserError` of it is shown.
    """
    taken = f"{key}-taken"

    def uploaded() -> None:
        file = st.session_state[key]
        # A field that is gone already sends its file once more with a click that came too soon.
        if file is None or file.file_id == st.session_state.get(taken):
            return
        st.session_state[taken] = file.file_id
        try:
            take(file.getvalue())
        except UserError as error:
            session.notify(str(error))

    st.file_uploader(label, "json", key=key, on_change=uploaded)
