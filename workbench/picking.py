"""Tables and charts whose rows and points lead somewhere."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from workbench import navigation


def choose(
    table: pd.DataFrame,
    key: str,
    picked: Callable[[pd.Series], None],
    columns: Mapping[str, Any] | None = None,
    height: int = 250,
) -> None:
    """A table whose rows lead somewhere.

    Args:
        picked: called once when a row is chosen, as a widget's callback.
    """

    def chosen() -> None:
        if rows := st.session_state[key]["selection"]["rows"]:
            # The table stays on screen as it was sorted and scrolled; the next click is a new one.
            st.session_state[key] = {"selection": {"rows": []}}
            picked(table.iloc[rows[0]])

    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=chosen,
        selection_mode="single-row",
        column_config=columns,
        height=min(height, 38 + 35 * max(1, len(table))),
        alt=f"{', '.join(map(str, table.columns))}: arrows move, Shift + Space opens a row",
    )


def choose_point(
    chart: alt.LayerChart | alt.FacetChart,
    key: str,
    selection: str,
    picked: Callable[[Mapping[str, Any]], None],
    alt_text: str,
    width: Literal["stretch", "content"] = "stretch",
) -> None:
    """A chart whose points lead somewhere.

    Args:
        selection: name of the chart's point selection.
        picked: called once with a chosen point's fields, as a widget's callback; not for a point
            that has none of them, which leads nowhere.
        alt_text: what it shows, for who doesn't see it.
        width: the page's, or the chart's own.
    """
    # A chart's selection can't be taken back: in another place it is another chart, without it.
    own = f"{key}-{navigation.here()}"

    def chosen() -> None:
        points = (st.session_state[own].get("selection") or {}).get(selection)
        if points and all(value is not None for value in points[0].values()):
            picked(points[0])

    st.altair_chart(
        chart, on_select=chosen, selection_mode=selection, key=own, width=width, alt=alt_text
    )
