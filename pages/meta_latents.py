"""Meta-latents: the list of all, and each one's latents with their evidence."""

import streamlit as st

from metasae.errors import UserError
from workbench import collected, session, shared
from workbench.explore.meta_latent import meta_latent, meta_list
from workbench.explore.place import asked_meta, asked_width
from workbench.frame import begin, failed
from workbench.navigation import keep_link


def page() -> None:
    """The whole page."""
    lab = begin(
        "The pieces latents are made of",
        "A **meta-latent** is a direction that many latents share: a country, being a city, a "
        "way of writing. Read it from the latents it is most active on.",
    )
    if lab is None:
        return
    try:
        explorer = shared.get_explorer(lab)
        meta = asked_meta(explorer)
        width = asked_width(explorer)
        keep_link(**({} if meta is None else {"meta": meta, "width": width}))
        session.show_notice()
        if meta is not None:
            meta_latent(explorer, meta, width)
            st.divider()
            st.subheader("All meta-latents", anchor=False)
        meta_list(explorer, width)
        collected.below(lab)
    except UserError as error:
        failed(error)


page()
