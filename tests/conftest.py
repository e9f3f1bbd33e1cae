"""Every test starts from the same random state, and the quick ones report first."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from metasae.lab.lab import Lab, open_lab
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.sources.presets import EMBEDDED
from metasae.text.cities import find_city
from tests import small_models
from tests.small_release import Built, SmallRelease, small_preset

REAL_MODEL_FIXTURES = {"lab", "model", "language_model"}
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """The real language model, fetched on first use."""
    return load_model(EMBEDDED)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The real default, as it is shipped."""
    return open_lab()


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small Llama that was taught what is true of `TAUGHT`."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("taught")
    small_models.llama(folder, map(find_city, small_models.TAUGHT), steps=100)
    return folder


@pytest.fixture(scope="session")
def small_model(taught: Path) -> LanguageModel:
    """That Llama, opened."""
    return load_model(small_preset(taught, taught))


@pytest.fixture(scope="session")
def small_release(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    """A preset of that Llama, to be built."""
    folder = tmp_path_factory.mktemp("release")
    cities = tuple(map(find_city, small_models.TAUGHT))
    return SmallRelease(small_preset(taught, folder / "weights"), folder / "cache", cities)


@pytest.fixture(scope="session")
def built(small_release: SmallRelease) -> Built:
    """Everything made without a stop. Tests leave it as it is."""
    folder = small_release.preset.weights
    assert folder is not None
    return Built(small_release, folder, small_release.build(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order: unit tests, tests with the real model, the app's pages, the browser; stable within."""
    items.sort(key=_cost)


def _cost(item: pytest.Item) -> tuple[int, bool]:
    folders = item.path.parts[len(HERE.parts) :]
    if "browser" in folders:
        kind = 3
    elif {"app", "pages", "workbench"} & set(folders):
        kind = 2
    elif item.get_closest_marker("real_model") or REAL_MODEL_FIXTURES & set(_fixtures(item)):
        kind = 1
    else:
        kind = 0
    return kind, item.get_closest_marker("slow") is not None


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
