"""Enumerate: search all combinations of two cities' meta-latents for what each can move alone."""

import streamlit as st

from metasae.errors import UserError
from workbench import controls, enumerating, opening, results, session


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
    lab = results.lab_or_retry(setting.preset)
    if lab is None:
        return
    enumerating.read_cities(lab)
    one, many = st.tabs(["One pair", "All pairs among some cities"])
    with one:
        controls.subject_pickers(lab)
        spec = enumerating.choose(setting, session.view().edit)
        session.write_link(**enumerating.to_query(spec), **enumerating.cities_query(lab))
        try:
            searching = opening.get_search(spec)
        except UserError as error:
            results.failed(error)
        else:
            enumerating.search(lab, searching)
    with many:
        enumerating.matrix(lab, spec)


page()
