"""What is open, shared by all sessions: the lab, its explorer, its texts, meta-latents' names."""

import ctypes
import functools
import gc
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar
from weakref import WeakSet

import pandas as pd
import streamlit as st

from metasae.errors import UserError
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.lab.lab import Lab, open_lab
from metasae.saes.decomposition import Decomposition
from metasae.sources.presets import Opened
from metasae.text.windows import Windows
from workbench import guests, visitor, waiting
from workbench.allowed import Right
from workbench.background import Kept, Work, kept
from workbench.limits import Limit

T = TypeVar("T")
P = ParamSpec("P")


_all_beside: "WeakSet[_Beside]" = WeakSet()


class OfLab(Generic[P, T]):
    """What is made of a lab, kept for all sessions by its arguments until the lab itself goes.

    Kept anywhere else it would hold on to a lab that was closed, its model included. What several
    sessions ask for at the same time is made once; what is made holds up nobody who asks for
    something else.

    Args:
        make: called with the lab and further arguments that can be hashed.
        most: results that are kept of one lab.
        saying: what is done, as the beginning of a sentence, where a session may have to wait.
    """

    def __init__(
        self, make: Callable[Concatenate[Lab, P], T], most: int | Limit, saying: str
    ) -> None:
        self._make, self._most, self._saying = make, most, saying
        self._lock = threading.Lock()

    def __call__(self, lab: Lab, *args: P.args, **options: P.kwargs) -> T:
        """The result, kept or made."""
        while True:
            with self._lock:
                results = self._of(lab)
                known = results.pop(args, None)
                result: Future[T] = known or Future()
                results[args] = result  # the last one is the one asked for last
            if known is None:
                return self._made(lab, result, args, options)
            with suppress(CancelledError):  # who made it was interrupted: the next one does
                return waiting.of_another(known, self._saying)

    def _made(
        self, lab: Lab, result: "Future[T]", args: tuple[Any, ...], options: dict[str, Any]
    ) -> T:
        """Make a result others may wait for already; no failure is kept."""
        try:
            with waiting.said(self._saying):
                made = self._make(lab, *args, **options)
        except BaseException as error:
            with self._lock:
                results = self._of(lab)
                if results.get(args) is result:
                    del results[args]
            if isinstance(error, Exception):
                result.set_exception(error)
            else:
                result.cancel()
            raise
        result.set_result(made)
        most = self._most if isinstance(self._most, int) else self._most.most
        with self._lock:
            results = self._of(lab)
            done = [one for one, kept in results.items() if kept.done()]
            for old in done[: max(0, len(results) - most)]:
                del results[old]
        return made

    def _of(self, lab: Lab) -> "dict[Any, Future[T]]":
        kept: dict[Any, Future[T]] = _beside(lab.preset.opened).of(lab).setdefault(self, {})
        return kept

    @property
    def is_of_guests(self) -> bool:
        """Whether there is as much of it as there are guests, rather than a fixed number."""
        return isinstance(self._most, Limit)

    def forget(self, results: dict[Any, Any]) -> None:
        """Let go of all that is kept of a lab."""
        with self._lock:
            results.clear()

    def clear(self, lab: Lab, *args: Any) -> None:
        """Make it anew the next time."""
        with self._lock:
            self._of(lab).pop(args, None)


def of_lab(
    most: int | Limit, saying: str = "The model is asked"
) -> Callable[[Callable[Concatenate[Lab, P], T]], OfLab[P, T]]:
    """Keep what a function makes of a lab (see `OfLab`)."""
    return lambda make: OfLab(make, most, saying)


def work_of_lab(
    most: int,
) -> Callable[[Callable[Concatenate[Lab, P], Work[T]]], Kept[Concatenate[Lab, P], T]]:
    """Keep the work a function begins for a lab."""
    return lambda begin: Kept(of_lab(most)(begin))


class _Beside:
    """What was made of the lab of one preset."""

    def __init__(self) -> None:
        self._lab: Lab | None = None
        self._kept: dict[Any, Any] = {}
        _all_beside.add(self)

    def forget_guests(self) -> None:
        """Let go of what is kept for guests in the number a limit gives, such as their pairs."""
        for made, results in list(self._kept.items()):
            if made.is_of_guests:
                made.forget(results)

    def of(self, lab: Lab) -> dict[Any, Any]:
        """What was made of this very lab."""
        if self._lab is not lab:
            self._lab, self._kept = lab, {}
        return self._kept


@st.cache_resource(show_spinner=False, hash_funcs={Opened: str})
def _beside(preset: Opened) -> _Beside:
    return _Beside()


def _closed(opening: Work[Lab]) -> None:
    """Let go of what was made of a lab."""
    with suppress(UserError):
        if opening.done:
            _beside.clear(opening.result().preset.opened)


@kept(max_entries=2, on_release=_closed)
def _lab(preset: Opened) -> Work[Lab]:
    wanted = visitor.preset(preset)
    return Work(lambda progress: open_lab(wanted, progress), "Opening the model")


def get_lab(preset: Opened) -> Lab:
    """The opened preset; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again. When the visitor may not
            open it, even if others have.
    """
    # What is kept is kept for all sessions, whoever was allowed to open it.
    who = visitor.visitor()
    if who.guest and not visitor.is_made(visitor.preset(preset)):
        who.check(Right.TRAINING)
    return _lab(preset)


def forget_guests() -> None:
    """Let go of pairs and edits, and give their memory back to the system: nobody is here."""
    for beside in list(_all_beside):
        beside.forget_guests()
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it, and alone keeps what is freed
        ctypes.CDLL(None).malloc_trim(0)


guests.when_empty(forget_guests)


def close(preset: Opened) -> None:
    """Let go of a preset's lab and of what was made of it: its files are about to be others."""
    _lab.clear(preset)
    _beside.clear(preset)


@of_lab(most=1)
def _explorer(lab: Lab) -> Explorer:
    return open_explorer(lab)


def get_explorer(lab: Lab) -> Explorer:
    """What is known of a lab's latents."""
    return _explorer(lab)


@work_of_lab(most=12)
def _width(lab: Lab, width: int) -> Work[Decomposition]:
    explorer = get_explorer(lab)
    return Work(lambda progress: explorer.decomposition(width, progress), "Opening the SAE")


def open_width(explorer: Explorer, width: int) -> Decomposition:
    """The SAE of a width, taken apart; draws the progress of its first opening.

    Raises:
        UserError: when it can't be opened; the next call tries again.
    """
    return _width(explorer.lab, width)


def meta_titles(lab: Lab) -> Callable[[int], str]:
    """What meta-latents are called on every page: a label, or what their latents fire on.

    For one run of a page: what people corrected since is in the next.
    """
    explorer = functools.cache(lambda: get_explorer(lab))

    @functools.cache
    def title(meta: int) -> str:
        return explorer().meta_title(meta)

    return title


@work_of_lab(most=12)
def _text(lab: Lab, width: int) -> Work[Windows | None]:
    explorer = get_explorer(lab)
    return Work(lambda progress: explorer.text(width, progress), "Reading the text")


def get_text(explorer: Explorer, width: int) -> Windows | None:
    """The text a width's evidence is about; None where another one is here.

    The first time it is fetched and cut into tokens, with its progress drawn.

    Raises:
        UserError: when it can't be fetched; the next call tries again.
    """
    return _text(explorer.lab, width)


@of_lab(most=2)
def _meta_table(lab: Lab, corrected: str) -> pd.DataFrame:
    explorer = get_explorer(lab)
    table = explorer.table(META)
    kind = str(lab.n_latents)
    rows = []
    for meta in range(lab.n_meta):
        strongest = lab.decomposition.latents_of(meta)
        top = list(strongest.items())[:3]
        rows.append(
            {
                "meta-latent": meta,
                "called": explorer.label(META, meta),
                "label's F1": None if table is None else float(table["f1"].iloc[meta]),
                "one word's F1": None if table is None else float(table["one_word"].iloc[meta]),
                "active on": len(strongest) / lab.n_latents,
                "strongest": top[0][1] if top else 0.0,
                "strongest latents": " · ".join(explorer.label(kind, latent) for latent, _ in top),
            }
        )
    return pd.DataFrame(rows).sort_values("active on", ascending=False, ignore_index=True)


def meta_table(explorer: Explorer) -> pd.DataFrame:
    """All meta-latents with their labels, the commonest first; for reading only."""
    return _meta_table(explorer.lab, explorer.corrections.to_json())
