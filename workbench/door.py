"""The password a host may ask for before anything is shown.

A session has few tries. A new session has them anew, so all sessions together have a limit as well,
within which a password of some letters stays unknown for years.
"""

import hashlib
import hmac
import os
import threading
import time
from collections import deque

import streamlit as st

from workbench.allowed import PASSWORD

TRIES, ALL_TRIES, MINUTE = 5, 60, 60.0
"""Wrong passwords a session may give, and all sessions together within so many seconds."""

_IN, _WRONG, _TYPED = "let-in", "wrong-passwords", "password"


class Wrong:
    """When wrong passwords were given, by any session."""

    def __init__(self) -> None:
        self._when: deque[float] = deque()
        self._lock = threading.Lock()

    def add(self) -> None:
        """One more, now."""
        with self._lock:
            self._when.append(time.monotonic())

    @property
    def many(self) -> bool:
        """Whether there were as many of late as there may be."""
        with self._lock:
            while self._when and time.monotonic() - self._when[0] > MINUTE:
                self._when.popleft()
            return len(self._when) >= ALL_TRIES


@st.cache_resource(show_spinner=False)
def wrong() -> Wrong:
    """Those of this server."""
    return Wrong()


def is_right(typed: str, password: str) -> bool:
    """Whether it is the password, told in a time that says nothing of either."""
    one, other = (hashlib.sha256(text.encode("utf-8", "replace")).digest()
                  for text in (typed, password))  # fmt: skip
    return hmac.compare_digest(one, other)


def let_in() -> bool:
    """Whether the session may see the workbench; where not, what asks for the password is drawn."""
    password = os.environ.get(PASSWORD, "")
    if not password or st.session_state.get(_IN) == _mark(password):
        return True
    st.title("This workbench has a password", anchor=False)
    st.markdown("Whoever opened it to you knows the password.")
    if st.session_state.get(_WRONG, 0) >= TRIES:
        st.error("Those were too many wrong passwords; load the page anew to try again.")
        return False
    if said := st.session_state.pop("door-says", ""):
        st.error(said)
    with st.form("door", border=False, width=420):
        st.text_input("Password", type="password", max_chars=200, key=_TYPED)
        st.form_submit_button("Open", type="primary", on_click=_tried)
    return False


def _tried() -> None:
    """Look at what was typed (in the form's callback)."""
    password, typed = os.environ.get(PASSWORD, ""), st.session_state.get(_TYPED, "")
    if st.session_state.get(_WRONG, 0) >= TRIES:
        return
    if wrong().many:
        st.session_state["door-says"] = "Too many wrong passwords were given; wait a minute."
    elif is_right(str(typed), password):
        st.session_state[_IN] = _mark(password)
    else:
        wrong().add()
        st.session_state[_WRONG] = st.session_state.get(_WRONG, 0) + 1
        st.session_state["door-says"] = "That isn't the password."


def _mark(password: str) -> str:
    """What a session keeps that was let in: worth nothing once the password is another."""
    return hashlib.sha256(f"let in by {password}".encode("utf-8", "replace")).hexdigest()
