"""That a person who goes on clicking leaves nothing behind."""

import gc
import threading
import weakref
from collections import Counter
from dataclasses import replace
from functools import reduce
from itertools import islice, pairwise, permutations
from operator import and_
from typing import Any

import pytest
from streamlit.runtime.caching import clear_session_resource_cache
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.search import exhaustive
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.setting import Setting
from tests.pages.opening import open_page, until
from workbench import shared, state
from workbench.lessons import asking
from workbench.limits import Limit
from workbench.steer import experiments

KEPT, CLICKS, ROUNDS = 3, 12, 3
"""What is kept of each kind in these tests, clicks that fill it, and how often as many follow."""


@pytest.fixture
def app(on_small: Lab, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The Steer page, with little kept."""
    monkeypatch.setattr(state, "_MOST_STEPS", KEPT)
    for kept in (
        experiments._outcome, experiments._unedited, experiments._experiment, asking.bench,
    ):  # fmt: skip
        monkeypatch.setattr(kept, "_most", Limit("METASAE_FEW", KEPT))
    return open_page()


TESTS_SESSION = "test session id"
"""What Streamlit calls the session of an `AppTest`."""

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
    # What the last run drew is alive, and on a busy machine that may be a notice of waiting or all
    # of the page: a round can so begin with less and end with more. What clicks leave grows in
    # each of them.
    counts = []
    for _ in range(ROUNDS + 1):
        click(app, CLICKS)
        counts.append(alive())
    in_each = reduce(and_, (after - before for before, after in pairwise(counts)))
    # Less than one object for every second click: nothing is left by each of them.
    assert {kind: more for kind, more in in_each.items() if more >= CLICKS // 2}.keys() <= (
        BY_THE_HUNDRED
    )


def test_of_many_edits_the_last_are_kept(app: AppTest) -> None:
    click(app, CLICKS)
    assert of(Outcome) <= KEPT + 1  # and the one that the page was opened on


# Pairs: what is kept of them is counted by what is alive, not by what the caches say.


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> "weakref.WeakSet[Experiment]":
    """Every experiment that was made and is alive."""
    found: weakref.WeakSet[Experiment] = weakref.WeakSet()
    begin = Experiment.__init__

    def noted(self: Experiment, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        found.add(self)

    monkeypatch.setattr(Experiment, "__init__", noted)
    return found


def test_a_page_that_is_left_open_holds_no_activations(
    app: AppTest, made: "weakref.WeakSet[Experiment]"
) -> None:
    # Its callbacks live for as long as Streamlit keeps the session.
    shared.forget_guests()
    app.toggle(key="strengths").set_value(True).run()
    click(app, 2)
    assert len(made) == 1
    shared.forget_guests()
    assert not made
    click(app, 1)  # and nothing is missed


def look_at(app: AppTest, lab: Lab, pairs: int) -> None:
    """Edit some pairs, one after the other, with all that the page tells of each."""
    for source, target in islice(permutations(lab.city_names(), 2), pairs):
        app.query_params.clear()
        app.query_params.update({"v": "1", "source": source, "target": target})
        app.run()
        assert not app.exception
        click(app, 2)


def test_of_many_pairs_no_more_than_the_limit_are_alive(
    app: AppTest, on_small: Lab, made: "weakref.WeakSet[Experiment]"
) -> None:
    for pairs in (2 * KEPT, 4 * KEPT):
        look_at(app, on_small, pairs)
        gc.collect()
        assert 0 < len(made) <= KEPT


def test_what_a_session_waits_for_is_let_go_when_it_leaves(
    on_small: Lab, made: "weakref.WeakSet[Experiment]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for best edits that is under way holds its pair, and nothing does afterwards."""
    monkeypatch.setattr(experiments._experiment, "_most", KEPT)
    begun, go_on = threading.Event(), threading.Event()

    def endless(experiment: Experiment, combinations: object, progress: Progress) -> None:
        begun.set()
        while not go_on.wait(0.01):
            progress("Searching", 0.1, "")

    monkeypatch.setattr(exhaustive, "search", endless)
    cities = list(permutations(on_small.city_names(), 2))
    setting = Setting(preset=on_small.preset.opened, source=cities[0][0], target=cities[0][1])
    app = AppTest.from_function(_awaiting, args=(setting,)).run()
    assert begun.wait(20)
    (held,) = made
    held_by = weakref.ref(held)
    del held
    for source, target in cities[1 : KEPT + 2]:
        experiments.get_experiment(replace(setting, source=source, target=target))
    gc.collect()
    # It is no pair that is kept any more, but the search has it in its hands.
    assert held_by() is not None
    clear_session_resource_cache(TESTS_SESSION)
    until(lambda: (gc.collect(), held_by() is None)[1])
    assert 0 < len(made) <= KEPT
    assert not app.exception


def _awaiting(setting: "Setting") -> None:
    """A page that waits for the best edits of a pair."""
    from metasae.steering.edits import EditOptions
    from workbench.steer import experiments

    experiments.best_edits.shown(setting, EditOptions())
