"""The view of one browser session, kept in step with the address bar."""

from dataclasses import replace
from typing import Any

import streamlit as st

from metasae.errors import UserError
from metasae.steering.edits import Edit
from workbench.state import History, View
from workbench.text import escape

_HISTORY, _LINK, _TOUCHED, _NOTICE = "history", "link", "touched", "notice"
_RESTORED = "restored"


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


def read_link() -> None:
    """Take the view from the address bar where it is news: a link followed, or the Back button.

    After a widget was used the address the browser sent is older than the view, and a page that
    was returned to has none; in both cases the view stands.
    """
    query = st.query_params.to_dict()
    touched = st.session_state.pop(_TOUCHED, False)
    if touched or not query or query == st.session_state.get(_LINK):
        return
    try:
        linked = View.from_query(query)
    except UserError as error:
        notify(str(error))
        linked = View()
    known = _HISTORY in st.session_state
    st.session_state[_HISTORY] = history().do(linked) if known else History(linked)


def open_on(pair: tuple[str, str]) -> None:
    """Begin with a source and target, where neither a link nor a widget has chosen others."""
    if _HISTORY not in st.session_state:
        source, target = pair
        begun = View(replace(view().setting, source=source, target=target))
        st.session_state[_HISTORY] = History(begun)


def write_link(**more: str) -> None:
    """Put the view into the address bar, and what else a page has to say."""
    query = view().to_query() | more
    st.session_state[_LINK] = query
    st.session_state.pop(_TOUCHED, None)
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


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
