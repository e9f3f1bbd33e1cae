"""What whoever looks at the page may do: asked before a widget is drawn, and again at the deed.

A link, a file or a browser's message can ask for what no widget offers, so the deed asks too.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, wraps
from typing import ParamSpec

import streamlit as st

from metasae.errors import UserError
from metasae.lab.preset_files import CITIES, folder_of
from metasae.sources.presets import IN_HUB, Opened, Preset
from metasae.sources.user_presets import preset_of
from workbench import guests, limits, session
from workbench.allowed import Allowed, Right, allowed, refusal
from workbench.tally import Tally
from workbench.text import escape

P = ParamSpec("P")

HOUR = 3600.0
"""Seconds in which `limits.SEARCHES` may be begun."""


def visitor() -> Allowed:
    """What whoever looks at the page may do.

    Raises:
        UserError: when the host's settings can't be read.
    """
    option = st.get_option
    return allowed(
        option("server.address"),
        host=guests.me().host,
        guarded=option("server.enableCORS") and option("server.enableXsrfProtection"),
    )


def may(*rights: Right) -> bool:
    """Whether all of that is allowed; nothing is where the host's settings can't be read."""
    with suppress(UserError):
        return visitor().rights.issuperset(rights)
    return False


def may_or_said(right: Right) -> bool:
    """Whether that is allowed; where it isn't, a line says so and how the host allows it."""
    try:
        granted = right in visitor().rights
    except UserError as error:
        st.error(escape(str(error)))
        return False
    if not granted:
        st.caption(escape(refusal(right)))
    return granted


def needs(*rights: Right) -> Callable[[Callable[P, object]], Callable[P, None]]:
    """Have a widget's callback ask first; what is refused is said by the run that follows."""

    def asking(do: Callable[P, object]) -> Callable[P, None]:
        @wraps(do)
        def deed(*args: P.args, **options: P.kwargs) -> None:
            try:
                visitor().check(*rights)
            except UserError as error:
                session.notify(str(error))
            else:
                do(*args, **options)

        return deed

    return asking


@cache  # not Streamlit's: any browser can have those emptied
def searches() -> Tally:
    """Searches that were begun, by the address of who did."""
    return Tally(HOUR)


def search(start: Callable[[], object]) -> Callable[[], None]:
    """Have a search's button count what is begun from a guest's address; the one too many is
    refused.

    A session would begin to count anew with every page that is loaded. Where no address is known,
    as behind a proxy that doesn't say whose request it passes on, all such guests count as one.
    """

    def begun() -> None:
        who = guests.me().address
        if not may(Right.SEARCHES) and not searches().add_below(limits.SEARCHES.most, who):
            session.notify(f"{limits.SEARCHES.error()} {refusal(Right.SEARCHES)}")
            return
        start()

    return begun


def limit_in_words() -> str:
    """What may be searched, as a sentence behind another; empty for who may without a limit."""
    if may(Right.SEARCHES):
        return ""
    return f" Guests may begin {limits.SEARCHES.most:,} searches an hour."


def preset(opened: Opened) -> Preset:
    """The preset of a link, a file or a widget, if the visitor may open it.

    Raises:
        UserError: for a path or a repository the visitor may not open, and as
            `user_presets.preset_of`.
    """
    if opened.name.startswith(IN_HUB):
        visitor().check(Right.PATHS)
    elif opened.name.endswith(".json"):
        opened = replace(opened, name=visitor().place(opened.name))
    return preset_of(opened)


def is_made(one: Preset) -> bool:
    """Whether a preset was opened before, so that opening it downloads and trains nothing."""
    return one.weights is not None or (folder_of(one) / CITIES).exists()
