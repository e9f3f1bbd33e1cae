"""Slow work in threads that never call Streamlit, its progress drawn by the session that waits.

A session that is closed doesn't stop the work, so whoever asks next finds it further on or done.
One that cancels it, or asks for other work of the same function where `Kept.shown` draws it, stops
it for all.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import streamlit as st

from metasae.errors import UserError
from metasae.progress import Progress, TimeLeft, duration
from metasae.sources.presets import Opened

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")

_log = logging.getLogger(__name__)

_QUICK = 0.15
"""Seconds within which work that ends is not announced."""

_AWAITED = "awaited"
"""Session key: for each kept function the work that the session waits for."""


class Cancelled(UserError):
    """Work that a person cancelled: no failure."""


class _Stop(Exception):
    """Raised in the work by its own progress once it is cancelled."""


class Work(Generic[T]):
    """Work that was begun, with the progress it reports.

    Attributes:
        name: what it is, as the beginning of a sentence.
        cancelled: whether somebody cancelled it before its end.
    """

    def __init__(self, work: Callable[[Progress], T], name: str) -> None:
        self.line = f"{name} …"
        self.fraction = 0.0
        self.cancelled = False
        self.name = name
        self._left = TimeLeft()
        self._began = time.monotonic()
        self._future: Future[T] = Future()
        # Not an executor's thread: those are waited for when the server is stopped.
        threading.Thread(target=self._run, args=(work,), daemon=True, name=name).start()

    def _run(self, work: Callable[[Progress], T]) -> None:
        try:
            self._future.set_result(work(self._report))
        except Exception as error:  # kept for who asks, whatever it is
            if self.cancelled:
                self._future.set_exception(Cancelled(f"{self.name} was cancelled."))
                return
            if not isinstance(error, UserError):
                _log.exception("%s failed", self.name)
            # Without its traceback, which would keep alive all that the work had in its hands.
            self._future.set_exception(error.with_traceback(None))

    def _report(self, stage: str, fraction: float, note: str = "") -> None:
        if self.cancelled:
            raise _Stop
        seconds = self._left.seconds(stage, fraction)
        left = f"about {duration(seconds)} left" if seconds is not None and fraction < 1 else ""
        self.fraction = min(max(fraction, 0.0), 1.0)
        self.line = " · ".join(filter(None, (stage, note, left)))

    def cancel(self) -> None:
        """Have it stop where it next reports its progress, unless it is done."""
        self.cancelled = self.cancelled or not self.done

    @property
    def done(self) -> bool:
        """Whether it has come to its end, well or not."""
        return self._future.done()

    def result(self) -> T:
        """What the work returned, once it is done.

        Raises:
            UserError: what went wrong, in one sentence.
        """
        try:
            return self._future.result()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.name} did not succeed; the terminal shows the details."
            ) from error

    def soon(self) -> bool:
        """Whether it is done; work that has only just begun is given a moment to be."""
        left = self._began + _QUICK - time.monotonic()
        return bool(wait([self._future], max(0.0, left)).done)

    def wait(self) -> T:
        """Draw the progress here until the work is done, then return its result.

        Raises:
            UserError: see `result`.
        """
        if not self.soon():
            place = st.empty()
            while not self.done:
                place.progress(self.fraction, text=self.line)
                wait([self._future], 0.2)
            place.empty()
        return self.result()


class Cached(Protocol[P, R_co]):
    """A function whose results are kept by its arguments."""

    def __call__(self, *args: P.args, **options: P.kwargs) -> R_co:
        """The result, kept or made."""
        ...

    def clear(self, *args: Any, **options: Any) -> None:
        """Make it anew the next time."""
        ...


class Kept(Generic[P, T]):
    """Work that is begun once for the same arguments and kept for all sessions."""

    def __init__(self, begin: Cached[P, Work[T]]) -> None:
        self._begin = begin

    def work(self, *args: P.args, **options: P.kwargs) -> Work[T]:
        """The work, under way or done."""
        begun: Work[T] = self._begin(*args, **options)
        return begun

    def __call__(self, *args: P.args, **options: P.kwargs) -> T:
        """What the work returns, with its progress drawn; work that failed isn't kept.

        Raises:
            UserError: what went wrong; the next call tries again.
        """
        try:
            return self.work(*args, **options).wait()
        except UserError:
            self.clear(*args, **options)
            raise

    def shown(self, *args: P.args, **options: P.kwargs) -> T | None:
        """What the work returns once it is done; until then None, and its progress is drawn with a
        button that cancels it. The page goes on either way.

        Other work of the same function that this session waited for is cancelled: what was asked
        for last is what is wanted.

        Raises:
            UserError: what went wrong; the next call tries again.
        """
        work = self.work(*args, **options)
        self._only(work, lambda: self.clear(*args, **options))
        if not work.cancelled and work.soon():
            del st.session_state[_AWAITED][self]
            return self(*args, **options)
        if work.cancelled:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f"{work.name}: cancelled.", width="content")
                st.button(
                    "Start again",
                    key=f"again-{id(work)}",
                    on_click=lambda: self.clear(*args, **options),
                )
        else:
            watch(work)
        return None

    def clear(self, *args: P.args, **options: P.kwargs) -> None:
        """Begin the work anew the next time."""
        self._begin.clear(*args, **options)

    def again(self, *args: P.args, **options: P.kwargs) -> None:
        """Begin the work anew if it was cancelled."""
        if self.work(*args, **options).cancelled:
            self.clear(*args, **options)

    def _only(self, work: Work[T], forget: Callable[[], None]) -> None:
        """Let go of what this session waited for before.

        Args:
            forget: has ``work`` begun anew when it is asked for again.
        """
        awaited = st.session_state.setdefault(_AWAITED, {})
        # What has ended is let go, and with it the lab it was about.
        for other in [one for one, (ended, _) in awaited.items() if ended.done and one is not self]:
            del awaited[other]
        former, forget_former = awaited.get(self, (work, forget))
        awaited[self] = work, forget
        # What was cancelled before was forgotten then; in its place stands, perhaps, this work.
        if former is not work and not (former.done or former.cancelled):
            former.cancel()
            forget_former()


@st.fragment(run_every=0.3)
def watch(work: Work[Any]) -> None:
    """How far some work is, several times a second; draws the page anew when it has ended."""
    if work.done or work.cancelled:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(work.fraction, text=work.line)
        st.button("Cancel", key=f"cancel-{id(work)}", on_click=work.cancel)


def kept(
    max_entries: int, on_release: Callable[[Work[Any]], None] | None = None
) -> Callable[[Callable[P, Work[T]]], Kept[P, T]]:
    """Keep the work a function begins, by its arguments (those that begin with _ left out).

    Args:
        on_release: called with what isn't kept any longer.
    """
    cache = st.cache_resource(
        max_entries=max_entries,
        show_spinner=False,
        on_release=on_release,
        hash_funcs={Opened: str},  # its name says all; taken to pieces it costs every click
    )
    return lambda begin: Kept(cache(begin))
