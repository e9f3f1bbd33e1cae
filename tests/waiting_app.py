"""A page with two fragments whose boxes wait while another has its turn at something.

The first fragment has a place where it is said, the second one has none.
"""

import threading
import time

import streamlit as st

from metasae.lm.turns import SILENT, Turns
from workbench import waiting

WHAT = "It is made"


def wait_for_another() -> None:
    """Take a turn while another has its own for longer than is waited in silence."""
    turns, held = Turns(), threading.Event()

    def hold() -> None:
        with turns:
            held.set()
            time.sleep(2 * SILENT)

    threading.Thread(target=hold).start()
    held.wait()
    with waiting.said(WHAT), turns:
        st.markdown("made")


@st.fragment
def told() -> None:
    """Says what it waits for."""
    waiting.make_place("-told")
    if st.checkbox("Wait", key="told"):
        wait_for_another()


@st.fragment
def untold() -> None:
    """Has no place where it could."""
    if st.checkbox("Wait in silence", key="untold"):
        wait_for_another()


if __name__ == "__main__":
    waiting.make_place()
    told()
    untold()
