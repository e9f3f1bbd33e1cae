"""Buttons that download a file."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from metasae.sources.spreadsheets import csv_text


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
