"""That a person who goes on clicking leaves nothing behind."""

import gc
from collections import Counter

import pytest
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from tests.pages.opening import open_page
from workbench import shared, state
from workbench.limits import Limit
from workbench.steer import experiments

KEPT, CLICKS = 3, 12
"""What is kept of each kind in these tests, and clicks that fill it."""


@pytest.fixture
def app(on_small: Lab, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The Steer page, with little kept."""
    monkeypatch.setattr(state, "_MOST_STEPS", KEPT)
    for kept in (experiments._outcome, experiments._unedited, experiments._experiment):
        monkeypatch.setattr(kept, "_most", Limit("METASAE_FEW", KEPT))
    return open_page()


BY_THE_HUNDRED = {"weakref.ReferenceType", "builtins.builtin_function_or_method"}
"""What pandas and abstract classes note of what is gone, and clear up some hundreds at a time."""


def click(app: AppTest, times: int) -> None:
    """Tick one box after the other, so that each makes another edit."""
    boxes = [str(box.key) for box in app.checkbox]
    for number in range(times):
        box = app.checkbox(key=boxes[number % len(boxes)])
        (box.uncheck if box.value else box.check)().run()
        assert not app.exception


def alive() -> Counter[str]:
    """Objects that are in use, by their types."""
    gc.collect()
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def of(kind: type) -> int:
    """Objects of a type that are in use."""
    return alive()[f"{kind.__module__}.{kind.__qualname__}"]


def test_clicks_leave_no_objects_behind(app: AppTest) -> None:
    click(app, CLICKS)
    before = alive()
    click(app, CLICKS)
    grown = alive() - before
    # Less than one object for every second click: nothing is left by each of them.
    assert {kind: more for kind, more in grown.items() if more >= CLICKS // 2}.keys() <= (
        BY_THE_HUNDRED
    )


def test_of_many_edits_the_last_are_kept(app: AppTest) -> None:
    click(app, CLICKS)
    assert of(Outcome) <= KEPT + 1  # and the one that the page was opened on


def test_a_page_that_is_left_open_holds_no_activations(app: AppTest) -> None:
    # Its callbacks live for as long as Streamlit keeps the session.
    app.toggle(key="strengths").set_value(True).run()
    click(app, 2)
    assert of(Experiment)
    shared.forget_guests()
    assert not of(Experiment)
    click(app, 1)  # and nothing is missed
