"""What a session waits for in the middle of a run, said where it does not move the page."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitInvalidLayoutContextError

from metasae.lm.turns import SILENT, telling
from workbench import guests

T = TypeVar("T")

_KEY, _PLACE = "waiting", "waiting-place"
"""Keys of what holds the place on the page, and of the place in the session."""


def make_place(part: str = "") -> None:
    """Where it is said: at the foot of the page, whatever is drawn above.

    A fragment that computes makes one of its own, since it can't write into what was drawn before
    it; in a fragment without one nothing is said.

    Args:
        part: the fragment's name.
    """
    with st.container(key=_KEY + part):
        st.session_state[_PLACE] = st.empty()


@contextmanager
def said(what: str) -> Iterator[None]:
    """Say what takes long in this session's run, and how many are before it at the model.

    Args:
        what: is done, as the beginning of a sentence.
    """
    place = _place()
    if place is None:
        yield
        return

    def told(before: int) -> None:
        _say(place, in_line(what, before) if before else "")

    try:
        with telling(told):
            yield
    except BaseException:
        _say(place, "")
        raise


def of_another(result: "Future[T]", what: str) -> T:
    """What another session asked for a moment before and is being made.

    Raises:
        CancelledError: when that session was interrupted.
    """
    place = _place()
    try:
        return result.result(None if place is None else SILENT)
    except TimeoutError:
        if place is None:
            raise
        if result.done():  # in this very moment, or it failed so
            return result.result()
    _say(place, f"{what}: another asked for the same a moment before you.")
    try:
        return result.result()
    finally:
        _say(place, "")


def _place() -> DeltaGenerator | None:
    place: DeltaGenerator | None = st.session_state.get(_PLACE) if guests.name() else None
    return place


def _say(place: DeltaGenerator, sentence: str) -> None:
    with suppress(StreamlitInvalidLayoutContextError):  # see `make_place`
        if sentence:
            place.info(sentence)
        else:
            place.empty()


def in_line(what: str, before: int) -> str:
    """A sentence about a place in a line."""
    others = "1 other has its turn" if before == 1 else f"{before} others have their turns"
    return f"{what}: {others} at the model before you."
