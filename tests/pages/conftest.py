"""What the tests of pages share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import local_script_runner

from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.experiment import Experiment
from workbench import shared


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A server that has opened and kept nothing yet."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="package", autouse=True)
def waits_for_runs_asleep() -> Iterator[None]:
    """Streamlit looks a thousand times a second whether a run is over, which slows it down."""
    look = local_script_runner.require_widgets_deltas

    def wait(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
        if runner._script_thread is not None:
            runner._script_thread.join(timeout)
        look(runner, 0.1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


@pytest.fixture
def on_small(small_default: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The small lab, opened by every page."""
    monkeypatch.setattr(shared, "get_lab", lambda preset: small_default)
    return small_default


@pytest.fixture
def experiment(on_small: Lab) -> Experiment:
    """What the Steer page opens on."""
    return on_small.experiment(on_small.subject("Tokyo"), on_small.subject("Paris"))
