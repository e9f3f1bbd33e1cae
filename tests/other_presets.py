"""The built-in presets of other families on small models, in the hub's layout, offline."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub.constants
import pytest

from metasae.lab import city_table, first_use
from metasae.lab.lab import Lab, open_lab
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import PRESETS, Preset
from metasae.steering.experiment import Experiment
from metasae.text.cities import find_city, load_cities
from metasae.training.meta_sae import RECIPE
from tests.small_models import small_gemma, small_gpt2

MAKERS = {"gpt2-small": small_gpt2, "gemma-3-270m": small_gemma}

SOME_CITIES = (*load_cities()[::10], find_city("Paris"), find_city("Tokyo"))
"""Cities that the small presets know of: to ask about all takes many times as long."""


@contextmanager
def only_here(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Nothing but a folder: its caches, ours and the hub's, and no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield patch


@dataclass(frozen=True)
class OtherPreset:
    """A small preset that was opened once.

    Attributes:
        folder: with the caches of which it was.
    """

    preset: Preset
    lab: Lab
    folder: Path

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """With it in the place of the real one."""
        with only_here(self.folder) as patch:
            patch.setitem(PRESETS, self.preset.name, self.preset)
            yield


def open_small(name: str, folder: Path) -> OtherPreset:
    """The small preset that stands for a built-in one, opened for the first time."""
    preset = MAKERS[name](folder / "hub")
    with only_here(folder) as patch:
        patch.setattr(first_use, "RECIPE", replace(RECIPE, steps=40))
        patch.setattr(city_table, "load_names", lambda: ("lobster", "Mozart"))
        patch.setattr(city_table, "load_cities", lambda: SOME_CITIES)
        patch.setitem(PRESETS, preset.name, preset)
        return OtherPreset(preset, open_lab(preset), folder)


def experiment_with_own_pieces(lab: Lab) -> Experiment:
    """A pair both of whose sides have meta-latents of their own."""
    names = lab.city_names()
    for other in names[1:]:
        experiment = lab.experiment(lab.subject(names[0]), lab.subject(other))
        if {"source", "target"} <= {piece.side for piece in experiment.pieces}:
            return experiment
    raise AssertionError("no pair with pieces of their own")
