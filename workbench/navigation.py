"""Moving between places: what a click leads to, and what the address says.

A table or a chart keeps its selection from run to run, so a selection that is looked at in the
script would lead away again on every run. Therefore all moves are made in callbacks, which are
called once for each click: `go` notes where to, and `follow`, which the app calls before a page is
drawn, goes there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import streamlit as st

from workbench import session

_APP = Path(__file__).parent

PAGES = next(folder for folder in (_APP / "_pages", _APP.parent / "pages") if folder.is_dir())
"""Where the pages are: inside the app where it is installed, beside it in a checkout."""

LATENTS, METAS, STEER, GRAPH, LESSONS = (
    str(PAGES / f"{name}.py") for name in ("latents", "meta_latents", "steer", "graph", "lessons")
)

_CARRIED = ("latent", "width", "meta", "q", "token", "filter", "depth", "top", "least", "real",
            "try")  # fmt: skip

_ALWAYS = ("real",)
"""Of those, what holds wherever in the explorer one goes."""

_LESSON = ("lesson", "step", "answered", "presenting")
"""What the address says of a walk, which one that leaves it comes back to."""

_PENDING = "going-to"
"""Session key: the page that a callback wants shown, and its address."""

_ARRIVED = "arrived"
"""Session key: set when a callback led to another page, which is shown from its top."""

_TO_TOP = """<script>
document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
document.currentScript.closest('[data-testid="stElementContainer"]').style.display = "none";
</script>"""


def go(page: str | None = None, **query: object) -> None:
    """Move to a place of the explorer (in a widget's callback); the Back button returns.

    Args:
        page: another page than the present one.
        query: what the address says beside the session's view; None is left out.
    """
    if page is None:
        address(**query)
    else:
        st.session_state[_PENDING] = page, _whole(_said(_LESSON) | carried() | query)


def go_to_view(page: str) -> None:
    """Move to another page that shows the session's view alone (in a widget's callback)."""
    st.session_state[_PENDING] = page, session.view().to_query()


def follow() -> None:
    """Go where the last callback wanted to; called once a run, before a page is drawn."""
    if pending := st.session_state.pop(_PENDING, None):
        page, query = pending
        st.session_state[_ARRIVED] = True
        st.switch_page(page, query_params=query)
    if st.session_state.pop(_ARRIVED, False):
        # Streamlit leaves the new page scrolled as far as the old one was.
        st.html(_TO_TOP, unsafe_allow_javascript=True)


def leaving() -> bool:
    """Whether the last callback wanted to go to another page: a fragment has to end then."""
    return _PENDING in st.session_state


def carried() -> dict[str, object]:
    """What the explorer's pages pass on among each other.

    Streamlit puts the new page's query under the old page's path for a moment, and the browser
    keeps that step: it has to name what was shown there.
    """
    return _said(_CARRIED)


def _said(names: Iterable[str]) -> dict[str, object]:
    return {name: st.query_params[name] for name in names if name in st.query_params}


def keep_link(**own: object) -> None:
    """Put what is shown into the address, and what the other pages showed; None takes out."""
    shown = (carried() | own).items()
    session.write_link(**{name: str(value) for name, value in shown if value is not None})


def address(**query: object) -> None:
    """Put a place into the address (in a widget's callback, which is followed by a run)."""
    st.query_params.from_dict(_whole(_said(_ALWAYS) | query))


def move(**query: object) -> None:
    """Change the place on this page (in a widget's callback); what else it showed stays."""
    address(**(carried() | query))


def here() -> str:
    """The address in one word, for keys of widgets that begin anew in another place."""
    return "&".join(f"{name}={value}" for name, value in sorted(st.query_params.items()))


def _whole(query: Mapping[str, object]) -> dict[str, str]:
    said = {name: str(value) for name, value in query.items() if value is not None}
    return session.view().to_query() | said
