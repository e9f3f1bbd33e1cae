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
