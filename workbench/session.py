"""The view of one browser session, kept in step with the address bar."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from metasae.errors import UserError
from metasae.steering.edits import Edit
from workbench.state import History, View
from workbench.text import escape

_HISTORY, _LINK, _TOUCHED, _NOTICE = "history", "link", "touched", "notice"
_RESTORED, _CHOSEN = "restored", "chosen"
_ASKED_AT = "asked-at"
"""Session key: the address the browser had when it was last sent another."""

T = TypeVar("T")


def history() -> History:
    """The session's view and its undo steps; the default's as long as nothing was chosen."""
    steps: History = st.session_state.get(_HISTORY) or History(View())
    return steps


def view() -> View:
    """What the session looks at."""
    return history().now


def change(new: View) -> None:
    """Step to another view (in a widget's callback)."""
    _assign(history().do(new))


def change_edit(edit: Edit) -> None:
    """Step to another edit in the same setting."""
    change(replace(view(), edit=edit))


def change_setting(**changes: Any) -> None:
    """Step to another setting."""
    change(view().with_setting(**changes))


def undo() -> None:
    """One step back."""
    _assign(history().undo())


def redo() -> None:
    """One step forward again."""
    _assign(history().redo())


def _assign(new: History) -> None:
    st.session_state[_HISTORY] = new
    st.session_state[_TOUCHED] = True


def shows(
    key: str, of: Callable[[View], T], change: Callable[[T], None], pair: bool = False
) -> Callable[[], None]:
    """Have a widget show a part of the view, and hear what a person chooses on it.

    With every click a browser sends what all of its widgets show. What they showed before the last
    change was drawn, and what is left of widgets that are gone, differs from what is known here
    and has Streamlit call them too; taken for choices, they would take that change back.

    Args:
        key: the widget's.
        of: what it shows of a view.
        change: called with what was chosen.
        pair: whether it belongs to the setting, and says nothing of another.

    Returns:
        The widget's ``on_change``.
    """
    now, chosen = of(view()), st.session_state.setdefault(_CHOSEN, {})
    st.session_state[key] = now
    if key in chosen and chosen[key][1] != now:
        del chosen[key]

    def called() -> None:
        value, address = st.session_state[key], st.query_params.to_dict()
        seen = _seen(address)
        if pair and seen.setting.without_question() != view().setting.without_question():
            return
        # Two choices in a row may both come from the same address.
        where, before = chosen.get(key, (None, None))
        if value != (before if where == address else of(seen)):
            chosen[key] = address, value
            change(value)

    return called


def _seen(address: Mapping[str, str]) -> View:
    """The view that was on screen at an address."""
    try:
        return View.from_query(address) if address else view()
    except UserError:
        return view()


def read_link() -> None:
    """Take the view from the address bar where it is news: a link followed, or the Back button.

    After a widget was used the address the browser sent is older than the view, and a page that
    was returned to has none; in both cases the view stands. So it does when the next click came
    before the browser knew what had been written for the last one.
    """
    query = st.query_params.to_dict()
    touched = st.session_state.pop(_TOUCHED, False)
    if touched or not query or query == st.session_state.get(_LINK):
        return
    if query == st.session_state.get(_ASKED_AT) and not _is_back():
        return
    try:
        linked = View.from_query(query)
    except UserError as error:
        notify(str(error))
        linked = View()
    known = _HISTORY in st.session_state
    st.session_state[_HISTORY] = history().do(linked) if known else History(linked)
    st.session_state[_LINK] = query


def _is_back() -> bool:
    """Whether it is the browser's Back or Forward that asked for this run."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def open_on(pair: tuple[str, str]) -> None:
    """Begin with a source and target, where neither a link nor a widget has chosen others."""
    if _HISTORY not in st.session_state:
        source, target = pair
        begun = View(replace(view().setting, source=source, target=target))
        st.session_state[_HISTORY] = History(begun)


def write_link(**more: str) -> None:
    """Put the view into the address bar, and what else a page has to say."""
    query, asked_at = view().to_query() | more, st.query_params.to_dict()
    st.session_state.pop(_TOUCHED, None)
    # The browser may have been sent another since it asked for this run.
    if query != asked_at or query != st.session_state.get(_LINK, asked_at):
        st.query_params.from_dict(query)
        st.session_state[_ASKED_AT] = asked_at
    st.session_state[_LINK] = query


def restore(new: View, made_with: dict[str, str]) -> None:
    """Step to the view of a file, whose preset may have to be opened first.

    Args:
        made_with: what the file says of its preset and weights.
    """
    change(new)
    st.session_state[_RESTORED] = made_with


def restored() -> dict[str, str] | None:
    """What the file that was just restored was made with, once."""
    made_with: dict[str, str] | None = st.session_state.pop(_RESTORED, None)
    return made_with


def notify(sentence: str, wrong: bool = True) -> None:
    """Have a sentence shown by the next run.

    Args:
        wrong: whether it says that something is.
    """
    st.session_state[_NOTICE] = sentence, wrong


def show_notice() -> None:
    """Show what a callback or a link had to say, once."""
    sentence, wrong = st.session_state.pop(_NOTICE, ("", False))
    if sentence:
        (st.error if wrong else st.info)(escape(sentence))
