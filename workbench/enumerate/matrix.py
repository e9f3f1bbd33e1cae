"""All ordered pairs among some cities as one search."""

import json
from dataclasses import replace

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.search.spec import Spec
from metasae.steering.edits import Edit
from workbench import session
from workbench.charts.combinations import pairs_chart
from workbench.enumerate import searches
from workbench.enumerate.pair import files, running
from workbench.frame import failed, ink
from workbench.navigation import STEER, go_to_view
from workbench.text import escape

_CITIES = "cities"

_USUAL: tuple[str, ...] = ("Tokyo", "Paris", "Moscow", "London")


def matrix(lab: Lab, spec: Spec) -> None:
    """All ordered pairs among some cities, and how many patterns each pair reaches."""
    cities = st.multiselect("Cities", lab.city_names(), key=_CITIES)
    if len(cities) < 2:
        st.info("Choose two cities or more.")
        return
    template = replace(spec, source="", target="", source_latents=None, target_latents=None)
    try:
        searching = searches.get_pairs(tuple(cities), template)
    except UserError as error:
        failed(error)
        return
    state = searching.job.state()
    if searching.running:
        running(searching)
    elif not state.finished:
        if failure := searching.failure():
            failed(failure)
        missing = state.total - state.done
        st.button(
            f"Search {missing} pairs", type="primary", key="pairs-start", on_click=searching.start
        )
        combinations, seconds = searching.cost
        st.caption(
            f"{combinations:,} combinations, about {duration(max(1.0, seconds))} here (from a "
            "probe of a few). What is done stays, and this page's address leads back to it."
        )
    table = searching.job.results()
    if table.empty:
        return
    counts = table.drop_duplicates(["source", "target"])[["source", "target", "patterns"]]
    st.altair_chart(pairs_chart(counts, ink()), width="content")
    st.caption("Patterns of moved traits each pair can reach, “nothing moves” included.")
    shown = table[["source", "target", "sentence", "margin", "problem"]]
    event = st.dataframe(
        shown.rename(columns={"margin": "margin (nats)"}),
        hide_index=True,
        key="pairs-table",
        on_select="rerun",
        selection_mode="single-row",
    )
    if picked := list(event["selection"]["rows"]):
        _open_pair(table.iloc[picked[0]])
    files(searching.job, "All pairs", "pairs")


def _open_pair(row: pd.Series) -> None:
    """One pair's edit, to be opened on the Steer page."""
    if not isinstance(row["edit"], str):
        return
    st.markdown(f"**{escape(str(row['sentence']))}**")

    def opened() -> None:
        session.change_setting(source=str(row["source"]), target=str(row["target"]))
        session.change_edit(Edit.from_dict(json.loads(row["edit"])))
        go_to_view(STEER)

    st.button("Open on the Steer page", type="primary", key="pairs-open", on_click=opened)


def read_cities(lab: Lab) -> None:
    """The cities of the matrix, from the address at first; kept across visits to other pages."""
    if _CITIES not in st.session_state:
        named = str(st.query_params.get("cities", "")).split(".")
        asked = [name for name in lab.city_names() if name in named]
        st.session_state[_CITIES] = asked if len(asked) > 1 else usual_cities(lab)
    st.session_state[_CITIES] = st.session_state[_CITIES]


def usual_cities(lab: Lab) -> list[str]:
    """Those of the matrix at first."""
    known = [name for name in lab.city_names() if all(lab.records[name].known.values())]
    default: list[str] = [name for name in _USUAL if name in known]
    # A model that knows none of these all the same shows what the page does.
    return list(default if len(default) > 1 else lab.city_names()[:2])


def cities_query(lab: Lab) -> dict[str, str]:
    """What the link says of them; the usual ones are left out."""
    cities = st.session_state[_CITIES]
    return {} if cities == usual_cities(lab) else {"cities": ".".join(cities)}
