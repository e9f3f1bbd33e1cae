"""Who is here: what is known of each session, how many there are, and what they let go of.

No other module asks Streamlit who a session is.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench import limits

_KEY = "guest"
"""Session key of the guest."""


class Awaited(NamedTuple):
    """Background work a session waits for, and how the session lets go of it."""

    work: Any
    let_go: Callable[[], object]


class Guest:
    """One session, found again when a broken connection is mended.

    A page that is loaded anew is another one from the same address.

    Attributes:
        name: of the session.
        address: it is connected from; empty where that says nothing: on this machine, which may be
            a proxy's.
        host: what its browser calls the server (the header Host); None: it said nothing.
        let_in: what the password let it in by (see `door`); empty: it stands before the door.
        wrong: passwords it gave that were wrong.
        awaited: what it waits for, by who was asked for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self.host: str | None = None
        self.let_in, self.wrong = "", 0
        self.awaited: dict[Any, Awaited] = {}

    def leave(self) -> None:
        """Let go of everything."""
        with _LOCK:
            _here.discard(self)
        for awaited in list(self.awaited.values()):
            awaited.let_go()
        self.awaited.clear()
        if not _here:
            _wait_for_others()


_LOCK = threading.Lock()

_here: set[Guest] = set()

_when_empty: set[Callable[[], object]] = set()

ALONE = 120.0
"""Seconds for which nobody was here before the server counts as empty: a page drawn anew leaves,
and comes back."""


def when_empty(listener: Callable[[], object]) -> None:
    """Have something called when all have left."""
    _when_empty.add(listener)


_alone_since = 0.0


def _wait_for_others() -> None:
    """Note that nobody is here now, and look again later."""
    global _alone_since
    _alone_since = time.monotonic()
    waiting = threading.Timer(ALONE, _nobody_came)
    waiting.daemon = True
    waiting.start()


def _nobody_came() -> None:
    """Call the listeners, unless somebody is here, or was in the meantime: then another waits."""
    if not _here and time.monotonic() - _alone_since >= ALONE:
        for listener in _when_empty:
            listener()


def name() -> str:
    """The session this thread runs a page for; empty outside of one."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def me() -> Guest:
    """The guest of this session, whether it was let in or not."""
    guest: Guest | None = st.session_state.get(_KEY)
    if guest is None:
        guest = st.session_state[_KEY] = Guest(name())
    # A connection that is mended may come from elsewhere.
    guest.address = st.context.ip_address or ""
    guest.host = st.context.headers.get("Host")
    return guest


# Streamlit forgets what is kept for a session when its connection ends, and says so here.
@st.cache_resource(scope="session", show_spinner=False, on_release=Guest.leave)
def here() -> Guest:
    """The guest of this session, who has a place on the server from now on.

    Raises:
        UserError: when there are as many as there may be.
    """
    guest = me()
    with _LOCK:
        if len(_here) >= limits.SESSIONS.most:
            raise limits.SESSIONS.error()
        _here.add(guest)
    return guest


def count() -> int:
    """How many are here."""
    return len(_here)
