"""Train: make a meta-SAE of the directions of any SAE, and use it at once."""

import streamlit as st

from workbench import session
from workbench.frame import lab_or_retry
from workbench.train import form, progress, shelf


def page() -> None:
    """The whole page."""
    session.read_link()
    st.title("Take another SAE apart", anchor=False)
    st.markdown(
        "A **meta-SAE** is trained on an SAE's decoder directions alone; no text and no model are "
        "needed. Choose what to take apart and how finely. What comes out opens in SAELens, and "
        "on the other pages where it belongs to the SAE that is open."
    )
    session.show_notice()
    setting = session.view().setting
    session.write_link()
    lab = lab_or_retry(setting.preset)
    if lab is None:
        return
    progress.progress_of_all(lab)
    progress.stopped(lab)
    form.form(lab)
    shelf.shelf(lab)


page()
