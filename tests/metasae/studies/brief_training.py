"""Further meta-SAEs of a lab, trained in a moment."""

from dataclasses import replace
from types import ModuleType

import pytest

from metasae.lab.lab import Lab
from metasae.studies.kept_meta_saes import recipe
from metasae.training.config import TrainConfig


def train_briefly(monkeypatch: pytest.MonkeyPatch, module: ModuleType, steps: int = 20) -> None:
    """Let a module train by a lab's recipe, but a narrow meta-SAE for a few steps."""

    def brief(lab: Lab, seed: int) -> TrainConfig:
        return replace(recipe(lab, seed), width=16, steps=steps, batch=32, warmup=0)

    monkeypatch.setattr(module, "recipe", brief)
