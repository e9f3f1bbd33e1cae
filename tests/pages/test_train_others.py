"""The Train page beside what others do: another preset's trainings, another process's."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions, open_directions
from metasae.sources import cache
from metasae.sources.presets import EMBEDDED, Preset
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE
from metasae.training.unfinished import TrainingRequest
from tests.pages.opening import open_page, until
from workbench import shared
from workbench.train import trainings
from workbench.train.trainings import Training

CONFIG = replace(RECIPE, width=19, k=2, batch=64, steps=3)


@pytest.fixture(autouse=True)
def trainable(small_default: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Preset:
    """What is open: one SAE, made here."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(400, 12, generator=draw))
    sae = SparseAutoencoder(rows.T, torch.zeros(400), rows, torch.zeros(12), k=2)
    formats.save(sae, tmp_path / "sae-400")
    opened = replace(small_default, preset=replace(EMBEDDED, weights=tmp_path, widths=(400,)))
    monkeypatch.setattr(shared, "get_lab", lambda preset: opened)
    return opened.preset


@pytest.fixture
def directions(trainable: Preset) -> Directions:
    return open_directions((trainable.sae(400),))


def page() -> AppTest:
    app = open_page("train")
    assert not app.exception
    return app


def trained(
    preset: str, name: str, directions: Directions, config: TrainConfig = CONFIG
) -> Training:
    out = cache.meta_sae(preset, name)
    training = trainings.trainings()[out] = Training(directions, config, (), out)
    return training


def test_a_training_of_another_preset_is_not_offered_here(directions: Directions) -> None:
    for name in (EMBEDDED.name, "another"):
        trained(name, "mine", directions).work.wait()
    app = page()
    assert [one.value for one in app.main.subheader if "mine" in one.value] == ["Meta-SAE “mine”"]
    (code,) = [one.value for one in app.code if "load_from_disk" in one.value]
    assert f"/{EMBEDDED.name}/mine" in code
    # Closed, it stands on the shelf.
    app.button(key="close-mine").click().run()
    assert not app.exception and cache.meta_sae(EMBEDDED.name, "mine") not in (
        trainings.trainings()
    )
    assert [one.label for one in app.main.expander] == ["mine"]


def test_a_training_of_another_preset_that_runs_is_named(directions: Directions) -> None:
    long = trained("another", "long", directions, replace(CONFIG, steps=100_000))
    app = page()
    assert any("running" in one.value and "another" in one.value for one in app.info)
    long.cancel()
    until(lambda: long.work.done)
    assert not page().info


@dataclass(frozen=True)
class Elsewhere:
    """A training that another process is at."""

    request: TrainingRequest
    process: "subprocess.Popen[bytes]"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """A training that another process is at."""
    request = TrainingRequest(cache.meta_sae(EMBEDDED.name, "far"), ("rows.npy",), CONFIG, ())
    request.write()
    hold = (
        "import sys, pathlib\n"
        "from metasae.training.unfinished import unfinished_trainings\n"
        "(request,) = unfinished_trainings(pathlib.Path(sys.argv[1]))\n"
        "with request.claimed():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", hold, str(request.out.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        yield Elsewhere(request, other)
        other.kill()


def test_what_another_process_trains_is_neither_deleted_nor_trained_beside_it(
    elsewhere: Elsewhere, directions: Directions
) -> None:
    app = page()
    assert any("Running in another process" in one.value for one in app.markdown)
    assert not [one for one in app.button if one.key in ("resume-far", "forget-far")]
    trained(EMBEDDED.name, "far", directions)
    until(lambda: trainings.trainings()[elsewhere.request.out].work.done)
    app = page()
    assert any("is running already" in one.value for one in app.error)


def test_what_a_killed_process_left_goes_on(elsewhere: Elsewhere) -> None:
    assert elsewhere.request.is_running
    elsewhere.process.kill()
    elsewhere.process.wait()
    app = page()
    assert any("Stopped before its end" in one.value for one in app.markdown)
    app.button(key="forget-far").click().run()
    assert not list(elsewhere.request.out.parent.glob("*"))


def test_a_step_is_timed_once_for_all_seeds_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[TrainConfig] = []

    def timing(directions: Directions, config: TrainConfig) -> float:
        timed.append(config)
        return 0.5

    monkeypatch.setattr(trainings, "seconds_a_step", timing)
    app = page()
    app.number_input(key="train-seed").set_value(3).run()
    app.number_input(key="train-steps").set_value(10).run()
    assert any(
        "Takes about" in one.value and "2 trainings of 10 steps" in one.value
        for one in app.markdown
    )
    app.number_input(key="train-k").set_value(2).run()
    assert [one.k for one in timed] == [RECIPE.k, 2] and not app.exception
