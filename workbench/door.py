"""The password a host may ask for before anything is shown.

A session has few tries. A new session has them anew, so all sessions together have a limit as well,
within which a password of some letters stays unknown for years.
"""

import hashlib
import hmac
import os
from functools import cache

import streamlit as st

from workbench import guests
from workbench.allowed import PASSWORD
from workbench.tally import Tally

TRIES, ALL_TRIES, MINUTE = 5, 60, 60.0
"""Wrong passwords a session may give, and all sessions together within so many seconds."""

_TYPED, _SAYS = "password", "door-says"


@cache  # not Streamlit's: any browser can have those emptied
def wrong() -> Tally:
    """Wrong passwords of this server."""
    return Tally(MINUTE)


def is_right(typed: str, password: str) -> bool:
    """Whether it is the password, told in a time that says nothing of either."""
    one, other = (hashlib.sha256(text.encode("utf-8", "replace")).digest()
                  for text in (typed, password))  # fmt: skip
    return hmac.compare_digest(one, other)


def let_in() -> bool:
    """Whether the session may see the workbench; where not, what asks for the password is drawn."""
    password = os.environ.get(PASSWORD, "")
    if not password or guests.me().let_in == _mark(password):
        return True
    st.title("This workbench has a password", anchor=False)
    st.markdown("Whoever opened it to you knows the password.")
    if guests.me().wrong >= TRIES:
        st.error("Those were too many wrong passwords; load the page anew to try again.")
        return False
    if said := st.session_state.pop(_SAYS, ""):
        st.error(said)
    with st.form("door", border=False, width=420):
        st.text_input("Password", type="password", max_chars=200, key=_TYPED)
        st.form_submit_button("Open", type="primary", on_click=_tried)
    return False


def _tried() -> None:
    """Look at what was typed (in the form's callback)."""
    password, typed = os.environ.get(PASSWORD, ""), st.session_state.get(_TYPED, "")
    guest = guests.me()
    if guest.wrong >= TRIES:
        return
    if wrong().count() >= ALL_TRIES:
        st.session_state[_SAYS] = "Too many wrong passwords were given; wait a minute."
    elif is_right(str(typed), password):
        guest.let_in = _mark(password)
    else:
        wrong().add()
        guest.wrong += 1
        st.session_state[_SAYS] = "That isn't the password."


def _mark(password: str) -> str:
    """What a session keeps that was let in: worth nothing once the password is another."""
    return hashlib.sha256(f"let in by {password}".encode("utf-8", "replace")).hexdigest()
