"""Latents: search them, and see what one is made of, where it fires and what it does."""

import streamlit as st

from metasae.errors import UserError
from workbench import exploring, opening, results, session


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("What is a latent made of?", anchor=False)
    st.markdown(
        "A **latent** is one direction an SAE reads in the model. Search one, see the "
        "**meta-latents** it is made of, where it fires in real text, and what it does to the "
        "model's next word."
    )
    setting = session.view().setting
    lab = results.lab_or_retry(setting.preset)
    if lab is None:
        return
    try:
        found = opening.get_explorer(lab)
        at = exploring.place(found)
        exploring.keep_link(**at.to_query())
        session.show_notice()
        exploring.search_bar(found, at)
        exploring.latent(found, at)
    except UserError as error:
        results.failed(error)


page()
