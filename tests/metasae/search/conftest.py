"""Experiments and searches that several files of tests look at."""

import itertools
from pathlib import Path

import pytest
import torch

from metasae.errors import UserError
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


@pytest.fixture(scope="session")
def found(tokyo_paris: Experiment) -> tuple[FoundEdit, ...]:
    return search(tokyo_paris, screened=False)


@pytest.fixture(scope="session")
def leaking(lab: Lab, tokyo_paris: Experiment) -> Experiment:
    """Towards Paris from a latent that fires here and there in the text without a city."""
    experiment = tokyo_paris
    rows = [experiment.model.prompt_tokens(text) for text in WITHOUT_CITY]
    resid = torch.cat([experiment.model.residual(torch.tensor([row]))[0, 1:] for row in rows])
    fires = experiment.decomposition.sae.encode(resid) > 0
    sentence = torch.repeat_interleave(
        torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])
    )
    often = torch.stack([fires[sentence == n].any(0) for n in range(len(rows))]).sum(0)
    able = (often >= 2) & (often < len(rows) - 1)
    latent = next(
        n for n in able.nonzero()[:, 0].tolist() if len(experiment.decomposition.pieces(n)) > 1
    )
    return lab.experiment(lab.subject(f"#{latent}"), lab.subject("Paris"))


@pytest.fixture(scope="session")
def spec(lab: Lab) -> Spec:
    """A pair with enough combinations for several parts, few enough for a test."""
    names = ["Tokyo", "Paris", "Cairo", *lab.city_names()]
    for source, target in itertools.permutations(names, 2):
        asked = ("language", "currency")
        spec = Spec(lab.preset.opened, source, target, attributes=asked, screened=False)
        try:
            if 64 <= len(combinations_of(spec_module.experiment_of(lab, spec), spec)) <= 128:
                return spec
        except UserError:
            continue
    raise AssertionError("no pair has so many combinations")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of one's own; the lab is open already."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path / "searches"
