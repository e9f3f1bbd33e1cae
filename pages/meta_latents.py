"""Meta-latents: the list of all, and each one's latents with their evidence."""

import streamlit as st

from metasae.errors import UserError
from workbench import exploring, opening, results, session


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("The pieces latents are made of", anchor=False)
    st.markdown(
        "A **meta-latent** is a direction that many latents share: a country, being a city, a "
        "way of writing. Read it from the latents it is most active on."
    )
    setting = session.view().setting
    lab = results.lab_or_retry(setting.preset)
    if lab is None:
        return
    try:
        found = opening.get_explorer(lab)
        meta = exploring.asked_meta(found)
        width = exploring.asked_width(found)
        exploring.keep_link(**({} if meta is None else {"meta": meta, "width": width}))
        session.show_notice()
        if meta is not None:
            exploring.meta_latent(found, meta, width)
            st.divider()
        exploring.meta_list(found)
    except UserError as error:
        results.failed(error)


page()
