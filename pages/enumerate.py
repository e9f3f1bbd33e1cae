"""Enumerate: search all combinations of two cities' meta-latents for what each can move alone."""

import streamlit as st

from metasae.errors import UserError
from workbench import session, subjects
from workbench.enumerate import choose, matrix, pair, searches
from workbench.frame import failed, lab_or_retry


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("Which traits can be moved alone?", anchor=False)
    st.markdown(
        "Every way to take away some of the source's own meta-latents and add some of the "
        "target's is tried on all four questions. You get one row for each pattern of traits that "
        "can be moved, with the edit that does it most clearly."
    )
    session.show_notice()
    setting = session.view().setting
    lab = lab_or_retry(setting.preset)
    if lab is None:
        return
    matrix.read_cities(lab)
    one, many = st.tabs(["One pair", "All pairs among some cities"])
    with one:
        subjects.subject_pickers(lab)
        spec = choose.choose(setting, session.view().edit)
        session.write_link(**choose.to_query(spec), **matrix.cities_query(lab))
        try:
            searching = searches.get_search(spec)
        except UserError as error:
            failed(error)
        else:
            pair.search(lab, searching)
    with many:
        matrix.matrix(lab, spec)


page()
