"""What the tests of pages share."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st

from metasae.lab.lab import Lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import EMBEDDED
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


@pytest.fixture(scope="session")
def small_default(small_lab: Lab) -> Lab:
    """The small lab under the name of the default preset, which links leave out."""
    preset = replace(small_lab.preset, name=EMBEDDED.name)
    provenance = replace(small_lab.provenance, preset=str(preset.opened))
    return replace(small_lab, preset=preset, provenance=provenance)


@pytest.fixture
def on_small(small_default: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The small lab, opened by every page."""
    monkeypatch.setattr(shared, "get_lab", lambda preset: small_default)
    return small_default
