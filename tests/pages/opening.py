"""Pages opened without a browser, and waiting for what they begin."""

import time
from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from workbench.steer.controls import OPTIONS
from workbench.steer.results import TABLES

APP = Path(__file__).parents[2] / "workbench" / "app.py"


def open_page(page: str = "steer", seconds: int = 120, /, **query: str) -> AppTest:
    """A page of the workbench as a link leads to it; Steer's tables and options are unfolded.

    Args:
        seconds: the longest that a run may take.
        query: the link's parameters.
    """
    app = AppTest.from_file(str(APP), default_timeout=seconds)
    app.session_state[TABLES] = True
    app.session_state[OPTIONS] = True
    app.query_params.update(query)
    if page == "meta_latents":
        # Its address isn't its file's name, which is known once any page has been drawn.
        app.switch_page("../pages/train.py").run()
        app.query_params.update(query)  # that page has written its own
    if page != "steer":
        app.switch_page(f"../pages/{page}.py")
    return app.run()


def query(app: AppTest) -> dict[str, str]:
    """The page's address."""
    given = app.query_params.items()
    return {name: value if isinstance(value, str) else value[0] for name, value in given}


def until(
    condition: Callable[[], object], done: Callable[[], object] = bool, seconds: float = 100.0
) -> None:
    """Wait for something to become true.

    Args:
        done: whether the work that is waited for has ended, after which nothing more will come.
        seconds: the longest wait.
    """
    end = time.monotonic() + seconds
    while not condition():
        # Once more: it may have become true just before the end.
        assert not done() or condition(), "the work is done, and it did not come about"
        assert time.monotonic() < end, f"it did not come about in {seconds:g} s"
        time.sleep(0.05)
