"""The workbench: ``streamlit run workbench/app.py``."""

import streamlit as st

from metasae.errors import UserError
from workbench import door, guests, limits, look, navigation, waiting
from workbench.frame import failed, ink

look.configure()
pages = [
    st.Page(navigation.PAGES / "steer.py", title="Steer", default=True),
    st.Page(navigation.PAGES / "enumerate.py", title="Enumerate"),
    st.Page(navigation.PAGES / "latents.py", title="Latents"),
    st.Page(navigation.PAGES / "meta_latents.py", title="Meta-latents", url_path="meta-latents"),
    st.Page(navigation.PAGES / "graph.py", title="Graph"),
    st.Page(navigation.PAGES / "studies.py", title="Studies"),
    st.Page(navigation.PAGES / "ravel.py", title="RAVEL"),
    st.Page(navigation.PAGES / "train.py", title="Train"),
    st.Page(navigation.PAGES / "lessons.py", title="Lessons"),
]
inside = door.let_in()
page = st.navigation(pages, position="top" if inside else "hidden")
look.put_on(ink())
if inside:
    try:
        limits.check()
        guests.here()
    except UserError as error:
        failed(error)
        st.button("Try again")
        st.stop()
    waiting.make_place()
    navigation.follow()
    page.run()
