"""A release that can be built in a test: few documents, narrow SAEs, a handful of steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from metasae.lab import city_table
from metasae.progress import Progress, silent
from metasae.release import generalisation
from metasae.release.build import build
from metasae.release.recipe import SHIPPED, Recipe
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import ModelSource, Preset
from metasae.text import windows as windows_module
from metasae.text.cities import City
from metasae.text.document import Document
from metasae.text.name_sentences import OPENINGS
from tests import small_models

OTHER_NAMES = ("tea", "jazz", "hammer")
"""Reference names that are no cities."""

OUTSIDE = (
    City("Nagoya", "Japan", "Japanese", "Asia", "yen"),
    City("Dijon", "France", "French", "Europe", "euro"),
    City("Kobe", "Japan", "Japanese", "Asia", "yen"),
)
"""Cities of the generalisation set."""

TITLES = ("Dracula", "Blackberry")
"""Other names of it."""

RECIPE = Recipe(
    base=replace(SHIPPED.base, steps=40, batch=256),
    smaller_steps=20,
    follow=replace(SHIPPED.follow, steps=3, batch=32),
    meta=replace(SHIPPED.meta, steps=60, batch=32),
)


def documents(cities: tuple[City, ...]) -> list[Document]:
    """Sentences about some cities to train on, every eighth to measure on."""
    texts = []
    for number, city in enumerate(cities):
        for place, opening in enumerate(OPENINGS[:24]):
            begin = opening.format(name=city.name, other=cities[number - 1].name)
            text = f"{begin}, a city in {city.country}."
            if place % 8 == 7:
                # Backwards, so that no run of tokens of it is trained on.
                texts.append(Document("kept", " ".join(reversed(text.split())), True))
            else:
                texts.append(Document("names", text, False))
    return texts


@dataclass(frozen=True)
class SmallRelease:
    """A preset to build with its text and a cache of its own.

    Attributes:
        cache: where intermediate results go.
        cities: all there are for it.
    """

    preset: Preset
    cache: Path
    cities: tuple[City, ...]

    @contextmanager
    def open(self, readable: bool = True) -> Iterator[None]:
        """With this cache, these cities and their text; not ``readable``: reading it fails."""

        def text(progress: Progress) -> list[Document]:
            assert readable, "the text is read"
            return documents(self.cities)

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CACHE_VARIABLE, str(self.cache))
            patch.setattr(windows_module, "default_documents", text)
            patch.setattr(city_table, "load_cities", lambda: self.cities)
            patch.setattr(city_table, "load_names", lambda: OTHER_NAMES)
            patch.setattr(generalisation, "drawn_cities", lambda _: list(OUTSIDE))
            patch.setattr(generalisation, "drawn_titles", lambda _: list(TITLES))
            yield

    def build(self, out: Path, progress: Progress = silent, readable: bool = True) -> Any:
        """See `metasae.release.build.build`."""
        with self.open(readable):
            return build(self.preset, out, progress, RECIPE)


@dataclass(frozen=True)
class Built:
    """A release that was made once: its folder and the report."""

    release: SmallRelease
    folder: Path
    report: dict[str, Any]


def small_preset(model: Path, weights: Path) -> Preset:
    """A preset of a small Llama and of SAEs nobody has made yet.

    Args:
        model: folder of the Llama.
        weights: folder where they are to be.
    """
    return Preset(
        name="small",
        title="A small model",
        model=ModelSource("small", model, small_models.D_MODEL),
        hook_layer=small_models.HOOK,
        widths=(16, 32, 64),
        meta_width=12,
        weights=weights,
    )
