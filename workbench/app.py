"""The workbench: ``streamlit run workbench/app.py``."""

import streamlit as st

from workbench import look, memory, navigation
from workbench.frame import ink

memory.keep_flat()
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
page = st.navigation(pages, position="top")
look.put_on(ink())
navigation.follow()
page.run()
