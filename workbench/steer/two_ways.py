"""The table of an edit's answers made in two ways, in nats."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from metasae.steering.nats import settled
from workbench.steer.tables import title

_NATS = st.column_config.NumberColumn(format="%.2f", width="small")

_CHANGE = st.column_config.NumberColumn(format="%+.2f", width="small")


def two_ways(table: pd.DataFrame, headings: Mapping[str, str], key: str) -> None:
    """Draw it.

    Args:
        table: a row an answer: answer, attribute, difference and log-probabilities.
        headings: of its columns that are shown, in their order.
    """
    words: dict[str, Callable[[Any], Any]] = {"answer": str, "attribute": title}
    shown = {
        heading: table[name].map(words.get(name, settled)) for name, heading in headings.items()
    }
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        height="content",
        key=key,
        column_config={
            heading: _CHANGE if name == "difference" else _NATS
            for name, heading in headings.items()
            if name not in words
        },
    )
