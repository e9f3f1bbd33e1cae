"""The workbench: ``streamlit run workbench/app.py``."""

import streamlit as st

from workbench import navigation

st.set_page_config(
    page_title="Meta-SAE workbench", layout="wide", initial_sidebar_state="collapsed"
)
pages = [
    st.Page("../pages/steer.py", title="Steer", default=True),
    st.Page("../pages/enumerate.py", title="Enumerate"),
    st.Page("../pages/latents.py", title="Latents"),
    st.Page("../pages/meta_latents.py", title="Meta-latents", url_path="meta-latents"),
    st.Page("../pages/graph.py", title="Graph"),
    st.Page("../pages/train.py", title="Train"),
]
page = st.navigation(pages, position="top")
navigation.follow()
page.run()
