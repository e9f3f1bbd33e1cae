"""Who is here: sessions are counted, and one that leaves lets go of what it alone waited for."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench import limits


class Awaited(NamedTuple):
    """Background work a session waits for, and how the session lets go of it."""

    work: Any
    let_go: Callable[[], object]


class Guest:
    """One session, as long as its browser tab is connected.

    Attributes:
        awaited: what it waits for, by who was asked for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.awaited: dict[Any, Awaited] = {}

    def leave(self) -> None:
        """Let go of everything."""
        with _LOCK:
            _here.discard(self)
        for awaited in list(self.awaited.values()):
            awaited.let_go()
        self.awaited.clear()
        if not _here:
            waiting = threading.Timer(ALONE, _nobody_came)
            waiting.daemon = True
            waiting.start()


_LOCK = threading.Lock()

_here: set[Guest] = set()

_when_empty: set[Callable[[], object]] = set()

ALONE = 120.0
"""Seconds for which nobody was here before the server counts as empty: a page drawn anew leaves,
and comes back."""


def when_empty(listener: Callable[[], object]) -> None:
    """Have something called when all have left."""
    _when_empty.add(listener)


def _nobody_came() -> None:
    if not _here:
        for listener in _when_empty:
            listener()


def name() -> str:
    """The session this thread runs a page for; empty outside of one."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


# Streamlit forgets what is kept for a session when its connection ends, and says so here.
@st.cache_resource(scope="session", show_spinner=False, on_release=Guest.leave)
def here() -> Guest:
    """The guest of this session.

    Raises:
        UserError: when there are as many as there may be.
    """
    guest = Guest(name())
    with _LOCK:
        if len(_here) >= limits.SESSIONS.most:
            raise limits.SESSIONS.error()
        _here.add(guest)
    return guest


def count() -> int:
    """How many are here."""
    return len(_here)
