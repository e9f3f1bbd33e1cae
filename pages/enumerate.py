"""Enumerate: search all combinations of two cities' meta-latents for what each can move alone."""

import streamlit as st

from metasae.errors import UserError
from metasae.search.spec import Spec
from workbench import session, subjects
from workbench.enumerate import choose, matrix, pair, searches
from workbench.frame import begin, failed, said

_ONE, _MANY = "One pair", "All pairs among some cities"

_TABS = "search-tabs"


def page() -> None:
    """The whole page."""
    lab = begin(
        "Which traits can be moved alone?",
        "Every way to take away some of the source's own meta-latents and add some of the "
        "target's is tried on all four questions. You get a card for each pattern of traits that "
        "can be moved, with the edit that does it most clearly.",
    )
    if lab is None:
        return
    setting = session.view().setting
    matrix.read_cities(lab)
    choose.read_choice()
    asked = st.query_params
    linked = _MANY if asked.get("pairs") == "all" or "cities" in asked else _ONE
    st.session_state[_TABS] = st.session_state.get(_TABS, linked)
    # Only the tab that is open is drawn: what is in the other would be computed all the same.
    one, many = st.tabs([_ONE, _MANY], key=_TABS, on_change="rerun")
    if many.open:
        with many:
            cities = matrix.city_picker(lab)
            template = choose.choose(setting, session.view().edit)
            write_link(template, **matrix.cities_query(lab), pairs="all")
            matrix.matrix(cities, template)
        return
    with one:
        subjects.subject_pickers(lab)
        template = choose.choose(setting, session.view().edit)
        write_link(template)
        try:
            searching = searches.get_search(choose.about(template, setting))
        except UserError as error:
            failed(error)
        else:
            said(searching.job.experiment.remarks)
            pair.search(lab, searching)


def write_link(template: Spec, **more: str) -> None:
    """Put what is searched into the address; cities stand there on their own tab alone."""
    session.write_link(**choose.to_query(template), **more)


page()
