"""What is found of the files of a preset's own: all right, and each thing that can be wrong."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from metasae.release.doctor_files import model_files, sae_files
from metasae.release.findings import DIFFERS, OK, UNCHECKED
from metasae.sources.presets import Preset
from tests.small_release import Built

pytestmark = pytest.mark.slow


@pytest.fixture
def preset(built: Built, tmp_path: Path) -> Preset:
    """The small release with weights of its own to damage."""
    shutil.copytree(built.folder, tmp_path / "weights")
    return replace(built.release.preset, weights=tmp_path / "weights")


def sae(preset: Preset) -> Path:
    """The folder of its narrowest SAE."""
    return Path(preset.sae(preset.widths[0]))


def other_format(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    save_file({name: one.float() for name, one in load_file(path).items()}, path)


def one_latent_less(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    name = next(one for one in tensors if one.lower() == "w_dec")
    save_file(tensors | {name: tensors[name][:-1].contiguous()}, path)


def cut_off(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])


def no_configuration(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.unlink()


def other_hook(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    said = json.loads(path.read_text())
    text = json.dumps(said).replace("blocks.", "blocks.1")
    path.write_text(text)


def verdicts(preset: Preset) -> dict[str, str]:
    """What is found of the narrowest SAE, by what is looked at."""
    found = sae_files(preset, preset.widths[0])
    return {one.name.partition(": ")[2]: one.verdict for one in found}


def test_files_that_are_right(preset: Preset) -> None:
    found = [*model_files(preset), *sae_files(preset, preset.widths[0])]
    assert {one.verdict for one in found} == {OK}
    assert {"shape", "number format", "hook"} <= set(verdicts(preset))


@pytest.mark.parametrize(
    ("damage", "differ"),
    [
        (other_format, {"sae_weights.safetensors", "number format"}),
        (one_latent_less, {"sae_weights.safetensors", "shape"}),
        (cut_off, {"sae_weights.safetensors", "contents"}),
        (no_configuration, {"files"}),
        (other_hook, {"hook"}),
    ],
)
def test_what_is_wrong_differs(
    preset: Preset, damage: Callable[[Path], None], differ: set[str]
) -> None:
    damage(sae(preset))
    found = verdicts(preset)
    assert {name for name, one in found.items() if one == DIFFERS} == differ
    assert UNCHECKED not in found.values()


def test_a_folder_without_a_models_files_says_which_are_missing(
    preset: Preset, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    empty = replace(preset, model=replace(preset.model, origin=tmp_path / "model"))
    assert {one.name: one.found for one in model_files(empty)} == {
        "file config.json": "there",
        "file tokenizer.json": "missing",
        "file model.safetensors": "missing",
    }
