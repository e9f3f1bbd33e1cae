"""Experiments and searches that several files of tests look at."""

from pathlib import Path

import pytest
import torch

from metasae.lab.lab import Lab
from metasae.search import spec as spec_module
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.search.side_effects import (
    WITHOUT_CITY,
)
from metasae.search.spec import Spec, combinations_of
from metasae.sources.cache import CACHE_VARIABLE
from metasae.steering.experiment import Experiment
from metasae.text.prompts import WORDINGS


@pytest.fixture(scope="session")
def experiment(small_lab: Lab) -> Experiment:
    """On the small model: most of a search does not depend on which it is."""
    return small_lab.experiment(small_lab.subject("Paris"), small_lab.subject("Tokyo"))


@pytest.fixture(scope="session")
def unsure(small_lab: Lab) -> Experiment:
    """Asked in words it was not taught, the small model often says what is no candidate."""
    pair = small_lab.subject("Paris"), small_lab.subject("Tokyo")
    return small_lab.experiment(*pair, small_lab.questions(*pair, templates=WORDINGS["post"]))


@pytest.fixture(scope="session")
def found(experiment: Experiment) -> tuple[FoundEdit, ...]:
    return search(experiment, screened=False)


@pytest.fixture(scope="session")
def leaking(small_lab: Lab) -> Experiment:
    """Towards Paris from a latent that fires here and there in the text without a city."""
    model, decomposition = small_lab.model, small_lab.decomposition
    rows = [model.prompt_tokens(text) for text in WITHOUT_CITY]
    resid = torch.cat([model.residual(torch.tensor([row]))[0, 1:] for row in rows])
    fires = decomposition.sae.encode(resid) > 0
    sentence = torch.repeat_interleave(
        torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])
    )
    often = torch.stack([fires[sentence == n].any(0) for n in range(len(rows))]).sum(0)
    able = (often >= 2) & (often < len(rows) - 1)
    latent = next(n for n in able.nonzero()[:, 0].tolist() if len(decomposition.pieces(n)) > 1)
    return small_lab.experiment(small_lab.subject(f"#{latent}"), small_lab.subject("Paris"))


@pytest.fixture(scope="session")
def spec(small_lab: Lab) -> Spec:
    """A pair with enough combinations for several parts, few enough for a test."""
    spec = Spec(
        small_lab.preset.opened, "Paris", "Tokyo", attributes=("language", "currency"),
        screened=False,
    )  # fmt: skip
    assert 64 <= len(combinations_of(spec_module.experiment_of(small_lab, spec), spec)) <= 128
    return spec


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of one's own; the lab is open already."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "searches"
