"""Graph: some latents, their meta-latents, and the latents those are in."""

import streamlit as st

from metasae.errors import UserError
from metasae.explorer import graph
from workbench import session, shared
from workbench.explore import graph_view
from workbench.frame import failed, lab_or_retry


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
    lab = lab_or_retry(setting.preset)
    if lab is None:
        return
    explorer = shared.get_explorer(lab)
    try:
        latents = graph_view.starts(explorer)
        depth, top, least = graph_view.controls(explorer, latents)
        graph_view.keep_graph_link(latents)
        made = graph.around(lab.decomposition, latents, depth, top, least)
        graph_view.draw(explorer, made)
        graph_view.files(explorer, made)
    except UserError as error:
        failed(error)


page()
