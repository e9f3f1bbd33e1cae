"""The workbench: ``streamlit run workbench/app.py``."""

import streamlit as st

from workbench import door, look, navigation
from workbench.frame import ink

look.configure()
pages = [
    st.Page("../pages/steer.py", title="Steer", default=True),
    st.Page("../pages/enumerate.py", title="Enumerate"),
    st.Page("../pages/latents.py", title="Latents"),
    st.Page("../pages/meta_latents.py", title="Meta-latents", url_path="meta-latents"),
    st.Page("../pages/graph.py", title="Graph"),
    st.Page("../pages/studies.py", title="Studies"),
    st.Page("../pages/ravel.py", title="RAVEL"),
    st.Page("../pages/train.py", title="Train"),
]
inside = door.let_in()
page = st.navigation(pages, position="top" if inside else "hidden")
look.put_on(ink())
if inside:
    navigation.follow()
    page.run()
