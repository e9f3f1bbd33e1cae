"""Every test starts from the same random state; tiers, the quick ones reporting first.

    pytest -m "not slow and not real_model"   fast: opens no real model, draws no page
    pytest                                    all but what takes long
    pytest -m long                            what does: browsers, servers, other processes,
                                              notebooks, whole searches, many figures
    pytest tests                              all; .ci/run has them in four parts
    pytest tests --cov                        with the coverage of the code at its end

What takes long is named in `LONG`, and left out only where nothing else is said. What opens the
real model or a browser, or draws pages, is read off a test's fixtures and folder; ``slow`` is what
draws pages, what takes long, and what is marked so by hand (takes more than about a second). By
hand are marked ``long``, too, and ``real_model`` where a test opens the model without a fixture of
this file's: by a command, or by ``request.getfixturevalue``. Without the mark opening it fails, in
this process; a test that starts another has to be marked.
"""

import functools
import logging
import os
import random
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from streamlit import config

from metasae.cli.main import _TALKATIVE
from metasae.lab.lab import Lab, open_lab
from metasae.lm import loading
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.progress import Progress, silent
from metasae.sources.cache import CACHE_VARIABLE, cache_dir
from metasae.sources.presets import EMBEDDED, Preset
from metasae.steering.experiment import Experiment
from metasae.text.cities import find_city
from tests import small_lab as planted
from tests import small_models
from tests.other_presets import MAKERS, OtherPreset, open_small
from tests.own_cache import own_cache
from tests.small_release import Built, SmallRelease, small_preset

REAL_MODEL_FIXTURES = ("lab", "model")
"""Fixtures of this file that open the real model."""

QUIET = ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_VERBOSITY")
"""Variables that `metasae.cli.main` sets."""

HERE = Path(__file__).parent

LONG = (
    "bad_input", "browser", "faults/test_killed.py", "faults/test_servers.py",
    "handbook/test_tutorials.py", "metasae/exports/test_code.py", "metasae/lab/test_ray_cluster.py",
    "metasae/lessons/walks", "pages/test_flat_memory.py", "pages/test_mutated_links.py",
    "test_installed.py", "test_notebooks.py", "test_recomputed.py", "workbench/test_cancelling.py",
    "workbench/test_classroom.py",
)  # fmt: skip
"""Folders and files below this one of tests that take long; a single test is marked by hand."""

# As with `streamlit run`: the settings beside the app hold for pages drawn without a server, too.
config._main_script_path = str(HERE.parent / "workbench" / "app.py")
config.get_config_options(force_reparse=True)

# On a busy machine an example takes as long as it takes.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def kept_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tests' cache: nothing of the user's is read, and nothing is written among it."""
    with (
        own_cache(tmp_path_factory.mktemp("cache"), cache_dir()) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many tiny products: on a busy machine threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What `metasae.cli.main` quietens for its process is as loud again for the next test."""
    loggers = [logging.getLogger(name) for name in ("", "metasae", *_TALKATIVE)]
    levels = [logger.level for logger in loggers]
    variables = {name: os.environ.get(name) for name in QUIET}
    with warnings.catch_warnings():
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """The real language model, fetched on first use."""
    return load_model(EMBEDDED)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The real default, as it is shipped."""
    return open_lab()


@pytest.fixture(scope="session")
def tokyo_paris(lab: Lab) -> Experiment:
    """The post's pair, with the latents that stand for it."""
    return lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))


@pytest.fixture
def opened(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab that is open already, which the command line finds."""
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: lab)
    return lab


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
def small_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab of a small Llama with a planted SAE and meta-SAE; see `tests.small_lab`."""
    torch.manual_seed(0)
    return planted.make(tmp_path_factory.mktemp("small-lab"))


@pytest.fixture(scope="session")
def small_default(small_lab: Lab) -> Lab:
    """The small lab under the name of the default preset, which links and files leave out."""
    preset = replace(small_lab.preset, name=EMBEDDED.name)
    provenance = replace(small_lab.provenance, preset=str(preset.opened))
    return replace(small_lab, preset=preset, provenance=provenance)


@pytest.fixture(scope="session")
def open_other(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OtherPreset]:
    """Opens a preset of another family on a small model, each once."""
    return functools.cache(lambda name: open_small(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in MAKERS]
)
def other_preset(
    request: pytest.FixtureRequest, open_other: Callable[[str], OtherPreset]
) -> OtherPreset:
    """See `tests.other_presets`."""
    return open_other(request.param)


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark by fixtures and folder, then order: unit tests, the real model, the app, the browser."""
    for item in items:
        if any(item.path.is_relative_to(HERE / name) for name in LONG):
            item.add_marker("long")
        browser = "browser" in _folders(item)
        if browser or _opens_real_model(item):
            item.add_marker("real_model")
        if browser:
            item.add_marker("browser")
        if browser or "pages" in _folders(item) or item.get_closest_marker("long"):
            item.add_marker("slow")
    items.sort(key=_cost)
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test; without the mark ``real_model`` neither it nor its fixtures open that model."""
    with pytest.MonkeyPatch.context() as patch:
        if not item.get_closest_marker("real_model"):
            patch.setattr(loading, "prepare_model", _closed(item.nodeid))
        return (yield)


def _closed(test: str) -> Callable[..., Path]:
    """`loading.prepare_model`, which fails for the real model unless the test put one there."""
    prepare = loading.prepare_model

    def prepared(preset: Preset, progress: Progress = silent) -> Path:
        if preset.model.origin == EMBEDDED.model.origin:
            folder = loading.model_folder(preset)
            if folder.parent.is_symlink() or not folder.exists():
                pytest.fail(
                    f"{test} opens the embedded model; use the fixture lab or model, or mark it "
                    "real_model."
                )
        return prepare(preset, progress)

    return prepared


def _opens_real_model(item: pytest.Item) -> bool:
    """Whether a fixture it needs, directly or by another, is one of ours that opens the model.

    A module's own fixture of the same name stands in for ours and opens whatever it opens.
    """
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs
    return any(
        name in fixtures and fixtures[name][-1].func.__module__ == __name__
        for name in REAL_MODEL_FIXTURES
    )


def _cost(item: pytest.Item) -> tuple[int, bool]:
    kind = 0
    if item.get_closest_marker("browser"):
        kind = 3
    elif {"pages", "workbench"} & _folders(item):
        kind = 2
    elif item.get_closest_marker("real_model"):
        kind = 1
    return kind, item.get_closest_marker("slow") is not None


def _folders(item: pytest.Item) -> set[str]:
    return set(item.path.parts[len(HERE.parts) : -1])
