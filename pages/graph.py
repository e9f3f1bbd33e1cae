"""Graph: some latents, their meta-latents, and the latents those are in."""

import streamlit as st

from metasae.errors import UserError
from metasae.explorer import graph
from workbench import graphing, opening, results, session


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("What latents share", anchor=False)
    st.markdown(
        "Start from one latent or several. Their meta-latents are drawn between them, and around "
        "each the latents it is most active on."
    )
    session.show_notice()
    setting = session.view().setting
    lab = results.lab_or_retry(setting.preset)
    if lab is None:
        return
    found = opening.get_explorer(lab)
    try:
        latents = graphing.starts(found)
        depth, top, least = graphing.controls(found, latents)
        graphing.keep_link(latents)
        made = graph.around(lab.decomposition, latents, depth, top, least)
        graphing.draw(found, made)
        graphing.files(found, made)
    except UserError as error:
        results.failed(error)


page()
