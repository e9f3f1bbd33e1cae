"""Slow work in threads that never call Streamlit, its progress drawn by the session that waits.

So much runs at a time, and what comes later waits its turn (`lanes`). Sessions that ask for the
same wait for the same work. One that cancels it, leaves, or asks for other work of the same
function where `Kept.shown` draws it, stops it only where no other session waits for it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import streamlit as st

from metasae.errors import UserError
from metasae.progress import Progress, TimeLeft, duration
from metasae.sources.presets import Opened
from workbench import guests, limits
from workbench.guests import Awaited, Guest
from workbench.lanes import Lane

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")

_log = logging.getLogger(__name__)

_QUICK = 0.15
"""Seconds within which work that ends is not announced."""

_SHORT = Lane(limits.SHORT)

_LONG = Lane(limits.LONG, limits.WAITING)
"""Work of minutes and hours, in whose line what takes seconds must not stand."""

_NICE = 10
"""How far long work steps back from the processors where pages are drawn."""


class Cancelled(UserError):
    """Work that a person cancelled: no failure."""


class _Stop(Exception):
    """Raised in the work by its own progress once it is cancelled."""


class Work(Generic[T]):
    """Work that was begun, with the progress it reports.

    Attributes:
        name: what it is, as the beginning of a sentence.
        cancelled: whether it was cancelled before its end.
        waiting: whether it has not had its turn yet.

    Args:
        long: whether it takes minutes.
    """

    def __init__(self, work: Callable[[Progress], T], name: str, long: bool = False) -> None:
        self.line = f"{name} …"
        self.fraction = 0.0
        self.cancelled = False
        self.waiting = True
        self.name = name
        self._long = long
        self._wanted: set[str] = set()
        self._let_go: set[str] = set()
        self._left = TimeLeft()
        self._began = time.monotonic()
        self._future: Future[T] = Future()
        # Not an executor's thread: those are waited for when the server is stopped.
        threading.Thread(target=self._run, args=(work,), daemon=True, name=name).start()

    def _run(self, work: Callable[[Progress], T]) -> None:
        try:
            with (_LONG if self._long else _SHORT).turn(self._in_line):
                self.waiting = False
                if self._long:
                    _step_back()
                self._future.set_result(work(self._report))
        except Exception as error:  # kept for who asks, whatever it is
            if self.cancelled:
                self._future.set_exception(Cancelled(f"{self.name} was cancelled."))
                return
            if not isinstance(error, UserError):
                _log.exception("%s failed", self.name)
            # Without its traceback, which would keep alive all that the work had in its hands.
            self._future.set_exception(error.with_traceback(None))

    def _in_line(self, before: int) -> None:
        if self.cancelled:
            raise _Stop
        others = "1 other is" if before == 1 else f"{before} others are"
        self.line = f"{self.name}: waits for its turn, {others} before it"

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

    def leave(self, session: str) -> None:
        """Note that a session waits no longer, and goes on by itself."""
        self._wanted.discard(session)

    def let_go(self, session: str) -> None:
        """Note that a session waits no longer; where no other does, cancel it."""
        self.leave(session)
        self._let_go.add(session)
        if not self._wanted:
            self.cancel()

    def take_up(self, session: str) -> None:
        """Note that a session waits for it."""
        self.take_back(session)
        self._wanted.add(session)

    def take_back(self, session: str) -> None:
        """Note that a session did not let it go after all, or was told so."""
        self._let_go.discard(session)

    def is_let_go(self, session: str) -> bool:
        """Whether a session has let it go."""
        return session in self._let_go

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
        """Draw the progress here, with a button that cancels, until the work is done.

        Returns:
            What the work returned. A click of the button interrupts this: the run that follows
            finds the work let go.

        Raises:
            UserError: see `result`.
        """
        if not self.soon():
            place = st.empty()
            with place.container(horizontal=True, vertical_alignment="bottom"):
                bar = st.empty()
                self._cancel_button("stop")
            while not self.done:
                bar.progress(self.fraction, text=self.line)
                wait([self._future], 0.2)
            place.empty()
        return self.result()

    def draw(self, stoppable: bool = True) -> None:
        """Draw the progress as it is now, and a button that cancels if it may be."""
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.progress(self.fraction, text=self.line)
            if stoppable:
                self._cancel_button("cancel")

    def _cancel_button(self, kind: str) -> None:
        session = guests.name()
        st.button("Cancel", key=f"{kind}-{id(self)}", on_click=self.let_go, args=(session,))


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
        """What the work returns, with its progress drawn and a button that cancels it; work that
        failed isn't kept.

        Raises:
            UserError: what went wrong, or that this session cancelled it; the next call tries
                again.
        """
        work, me = self._asked(*args, **options), guests.name()
        if work.is_let_go(me):
            if work.cancelled:
                self.clear(*args, **options)
            work.take_back(me)
            raise Cancelled(f"{work.name} was cancelled.")
        work.take_up(me)
        try:
            return work.wait()
        except UserError:
            self.clear(*args, **options)
            raise
        finally:
            work.leave(me)

    def shown(self, *args: P.args, **options: P.kwargs) -> T | None:
        """What the work returns once it is done; until then None, and its progress is drawn with a
        button that cancels it. The page goes on either way.

        Other work of the same function that this session waited for is let go: what was asked for
        last is what is wanted.

        Raises:
            UserError: what went wrong; the next call tries again.
        """
        guest, work = guests.here(), self._asked(*args, **options)

        def let_go() -> None:
            if not (work.done or work.cancelled):
                work.let_go(guest.name)
                if work.cancelled:
                    self.clear(*args, **options)

        self._only(guest, Awaited(work, let_go))
        if work.is_let_go(guest.name):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f"{work.name}: cancelled.", width="content")
                st.button(
                    "Start again",
                    key=f"again-{id(work)}",
                    on_click=lambda: self.again(*args, **options),
                )
        elif work.soon():
            del guest.awaited[self]
            return self(*args, **options)
        else:
            watch(work)
        return None

    def _asked(self, *args: P.args, **options: P.kwargs) -> Work[T]:
        """The work; begun anew where others cancelled it before this session came."""
        work = self.work(*args, **options)
        if work.cancelled and not work.is_let_go(guests.name()):
            self.clear(*args, **options)
            work = self.work(*args, **options)
        return work

    def clear(self, *args: P.args, **options: P.kwargs) -> None:
        """Begin the work anew the next time."""
        self._begin.clear(*args, **options)

    def clear_all(self) -> None:
        """Begin anew whatever is asked for next."""
        self._begin.clear()

    def again(self, *args: P.args, **options: P.kwargs) -> None:
        """Wait for the work once more; it is begun anew where it was cancelled."""
        work = self.work(*args, **options)
        if work.cancelled:
            self.clear(*args, **options)
        else:
            work.take_up(guests.name())

    def _only(self, guest: Guest, asked: Awaited) -> None:
        """Have a session wait for this, and let go of what it waited for before."""
        # What has ended is let go, and with it the lab it was about.
        for other in [one for one, was in guest.awaited.items() if was.work.done]:
            if other is not self:
                del guest.awaited[other]
        former = guest.awaited.get(self)
        if former is None or former.work is not asked.work:
            if former is not None:
                former.let_go()
            asked.work.take_up(guest.name)
        guest.awaited[self] = asked


@st.fragment(run_every=0.3)
def watch(work: Work[Any], stoppable: bool = True) -> None:
    """How far some work is, several times a second; draws the page anew when it has ended.

    Args:
        stoppable: whether who looks at it may cancel it.
    """
    me = guests.name()
    if work.done or work.cancelled or work.is_let_go(me):
        st.rerun()
    work.draw(stoppable)


def _step_back() -> None:
    """Have this thread, and those it starts, work when the others leave processors free."""
    with suppress(AttributeError, OSError):  # only Linux knows threads' priorities
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


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
