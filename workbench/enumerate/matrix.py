"""All ordered pairs among some cities as one search."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import duration
from metasae.search.pairs_job import PairsJob
from metasae.search.spec import Spec
from metasae.steering.edits import Edit
from metasae.text.names import one_line
from workbench import session, visitor
from workbench.charts.combinations import PICKED, pairs_chart
from workbench.enumerate import searches
from workbench.enumerate.cards import card, meaning
from workbench.enumerate.pair import files, running
from workbench.frame import failed, ink, said
from workbench.navigation import STEER, go_to_view
from workbench.picking import choose_point
from workbench.state import names_from_text, names_to_text
from workbench.text import escape

_CITIES, _PAIR = "cities", "pair-shown"

MOST_CITIES = 30
"""Cities whose pairs are searched at most: each is looked at before anything is begun."""

_USUAL: tuple[str, ...] = ("Tokyo", "Paris", "Moscow", "London")


def city_picker(lab: Lab) -> tuple[str, ...]:
    """The cities and other names whose ordered pairs are searched."""
    typed = [name for name in st.session_state[_CITIES] if name not in lab.city_names()]
    chosen = st.multiselect(
        "Cities",
        (*lab.city_names(), *typed),
        key=_CITIES,
        accept_new_options=True,
        help="One of these cities, or type any other name.",
    )
    return tuple(filter(None, map(one_line, chosen)))


def matrix(cities: tuple[str, ...], template: Spec) -> None:
    """All ordered pairs among some cities, and how many patterns each pair reaches."""
    if len(cities) < 2:
        st.info("Choose two cities or more.")
        return
    if len(cities) > MOST_CITIES:
        st.info(
            f"{len(cities)} cities have {len(cities) * (len(cities) - 1):,} pairs; choose "
            f"{MOST_CITIES} at most. The command line searches more."
        )
        return
    try:
        with st.spinner("Looking at the cities …"):
            searching = searches.get_pairs(cities, template)
    except UserError as error:
        failed(error)
        return
    said(searching.job.remarks)
    state = searching.job.state()
    if searching.running:
        running(searching)
    elif not state.finished:
        if failure := searching.failure():
            failed(failure)
        missing = state.total - state.done
        st.button(
            f"Search {missing} pairs",
            type="primary",
            key="pairs-start",
            on_click=visitor.search(searching.start),
        )
        try:
            cost = searches.cost_of(searching.job.id, state.done, searching.job)
        except UserError as error:
            failed(error)
            return
        st.caption(
            f"{cost.combinations:,} combinations, about {duration(max(1.0, cost.seconds))} here "
            "(from a probe of a few). What is done stays, and this page's address leads back to it."
            f"{visitor.limit_in_words()}"
        )
    table = searching.job.results()
    if table.empty:
        return
    counts = table.drop_duplicates(["source", "target"])[["source", "target", "patterns"]]
    picture = f"pairs-picture-{searching.job.id}"
    choose_point(
        pairs_chart(counts, ink()), picture, PICKED, _shown, width="content",
        alt_text="Patterns each pair can reach, source by target; the table below says the same",
    )  # fmt: skip
    st.caption(
        "Patterns of moved traits each pair can reach, “nothing moves” included. Click a cell to "
        "see what they are."
    )
    meaning(template.strict)
    _one_pair(searching.job)
    with st.expander("All pairs as a table"):
        st.dataframe(
            table[["source", "target", "sentence", "margin", "problem"]].rename(
                columns={"margin": "margin (nats)"}
            ),
            hide_index=True,
            height="content",
            key=f"pairs-{searching.job.id}",
            column_config={"margin (nats)": st.column_config.NumberColumn(format="%.2f")},
        )
    files(searching.job, "All pairs", "pairs")


def _named(source: str, target: str) -> str:
    return f"{source} → {target}"


def _shown(cell: Mapping[str, Any]) -> None:
    """Show the pair of a cell (in the picture's callback)."""
    st.session_state[_PAIR] = _named(str(cell["source"]), str(cell["target"]))


def _one_pair(job: PairsJob) -> None:
    """What one of the pairs reaches; which, the picture or the list says."""
    found = {_named(job.specs[at].source, job.specs[at].target): at for at in job.pairs()}
    if st.session_state.get(_PAIR) not in found:
        st.session_state[_PAIR] = next(iter(found))
    chosen = found[st.selectbox("Pair", list(found), key=_PAIR, width=300)]
    spec, pair = job.specs[chosen], job.pairs()[chosen]
    if pair.problem is not None:
        st.info(escape(pair.problem))
    for place, one in enumerate(pair.patterns):
        card(one, "", None, f"pairs-open-{job.id}-{chosen}-{place}", partial(_open, spec, one.edit))


def _open(spec: Spec, edit: Edit) -> None:
    """Open an edit of a pair on the Steer page (in a widget's callback)."""
    session.change_setting(source=spec.source, target=spec.target)
    session.change_edit(edit)
    go_to_view(STEER)


def read_cities(lab: Lab) -> None:
    """The cities of the matrix, from the address at first; kept across visits to other pages."""
    if _CITIES not in st.session_state:
        asked = names_from_text(str(st.query_params.get("cities", "")))
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
    return {} if cities == usual_cities(lab) else {"cities": names_to_text(cities)}
