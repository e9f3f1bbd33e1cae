"""A release of a model of four blocks that was taught a few cities' facts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metasae.progress import Progress, silent
from metasae.release import measure as measure_module
from metasae.release import starts
from metasae.release.build import build
from metasae.release.recipe import SHIPPED, Recipe
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import sha256
from metasae.sources.presets import ModelSource, Preset
from metasae.text import windows as windows_module
from metasae.text.cities import City, find_city
from metasae.text.city_sentences import ENDINGS, OPENINGS
from metasae.text.document import Document
from tests import small_models

NAMES = ("Alexandria", "Cairo", "Kyoto", "Lyon", "Marseille", "Osaka", "Paris", "Tokyo")

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
        facts = {**vars(city), "city": city.name, "other": cities[number - 1].name}
        for place, opening in enumerate(OPENINGS[:24]):
            begin = opening.format(**facts)
            text = begin + ENDINGS[place % len(ENDINGS)].format(**facts)
            if place % 8 == 7:
                texts.append(Document("kept", text, True))
            else:
                texts.append(Document("cities", text, False, city.name, len(begin)))
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
            for module in (measure_module, starts):
                patch.setattr(module, "load_cities", lambda: self.cities)
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


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    """A preset of a small model that knows the cities, and of SAEs nobody has made yet."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("release")
    cities = tuple(map(find_city, NAMES))
    small_models.llama(folder / "model", cities, steps=100)
    preset = Preset(
        name="small",
        title="A small model",
        model=ModelSource("small", folder / "model", small_models.LAYERS, small_models.D_MODEL),
        hook_layer=small_models.HOOK,
        widths=(16, 32, 64),
        meta_width=12,
        weights=folder / "weights",
    )
    return SmallRelease(preset, folder / "cache", cities)


@pytest.fixture(scope="session")
def built(small_release: SmallRelease) -> Built:
    """Everything made without a stop. Tests leave it as it is."""
    folder = small_release.preset.weights
    assert folder is not None
    return Built(small_release, folder, small_release.build(folder))


@pytest.fixture
def hashes() -> Callable[[Path], dict[str, str]]:
    """The SHA-256 of every file in a folder."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): sha256(path) for path in files}

    return of
