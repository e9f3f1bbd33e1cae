"""What an edit in every latent changes elsewhere: other text, other cities."""

import streamlit as st

from metasae.errors import UserError
from metasae.steering.edits import Edit
from metasae.steering.setting import Setting
from workbench.frame import failed
from workbench.steer import experiments
from workbench.text import escape


def elsewhere(setting: Setting, edit: Edit) -> None:
    """Side effects of an edit in every latent; nothing for another edit."""
    if not edit.options.everywhere or edit.changes_nothing:
        return
    with st.container(border=True, key="elsewhere", gap="xsmall"):
        st.markdown("**What else this edit changes**")
        try:
            found = experiments.side_effects.shown(setting, edit)
        except UserError as error:
            failed(error)
            return
        if found is not None:
            st.markdown("  \n".join(map(escape, found.sentences)))
