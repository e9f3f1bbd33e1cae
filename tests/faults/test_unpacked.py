"""What is unpacked in the cache: a flipped bit or a cut is noticed at the next opening."""

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch

from metasae.errors import UserError
from metasae.lm import loading
from metasae.lm.loading import load_model, model_folder
from metasae.sources import cache, hub
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import Hub, HubFile, InWheel, ModelSource, Preset
from metasae.sources.seals import RECORD
from tests.builders import everything_below, never, one_sentence
from tests.other_presets import only_here
from tests.small_models import D_MODEL, HOOK, in_hub_cache, llama
from tests.wheels import small_wheel

WEIGHTS = "model.safetensors"


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


SPOILED: dict[str, Callable[[Path], object]] = {
    "flipped": flipped, "cut": cut, "gone": Path.unlink
}  # fmt: skip


class Unpacked:
    """A small model that comes in a wheel, and how often it was unpacked."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        wheel = small_wheel(folder)
        shelf = cache.wheel(wheel.filename)
        shelf.parent.mkdir(parents=True)
        shutil.copy(folder / wheel.filename, shelf)
        llama(folder / "model")
        self.wheel, self.count = shelf, 0
        self.preset = Preset(
            "tiny", "A tiny model",
            ModelSource("tiny", InWheel(wheel, "tiny_model/weights.txt"), D_MODEL),
            HOOK, (16,), 4,
        )  # fmt: skip

        def dequantise(gguf: Path, out: Path) -> None:
            self.count += 1
            shutil.copytree(folder / "model", out, dirs_exist_ok=True)

        patch.setattr(loading, "_dequantise", dequantise)

    @property
    def folder(self) -> Path:
        return model_folder(self.preset)

    def answer(self) -> torch.Tensor:
        """What it gives, opened anew."""
        return load_model(self.preset).residual(torch.tensor([[1, 5, 9]]))


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpacked:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    torch.manual_seed(0)
    return Unpacked(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
@pytest.mark.parametrize("how", SPOILED)
def test_a_damaged_model_is_unpacked_anew(unpacked: Unpacked, name: str, how: str) -> None:
    whole = unpacked.answer()
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 1
    SPOILED[how](unpacked.folder / name)
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 2
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 2


def test_a_damaged_record_counts_as_damage(unpacked: Unpacked) -> None:
    whole = unpacked.answer()
    (unpacked.folder / RECORD).write_text("{")
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 2


def test_where_it_can_not_be_unpacked_anew_it_is_said(
    unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked.answer()
    flipped(unpacked.folder / WEIGHTS)

    def away(*_: object) -> Path:
        raise UserError("There is no network.")

    monkeypatch.setattr(loading, "fetch_wheel", away)
    with pytest.raises(UserError, match="There is no network"):
        unpacked.answer()


def test_a_model_of_an_earlier_version_is_sealed_once_it_was_opened(unpacked: Unpacked) -> None:
    whole = unpacked.answer()
    (unpacked.folder / RECORD).unlink()
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 1
    flipped(unpacked.folder / WEIGHTS)
    assert torch.equal(unpacked.answer(), whole) and unpacked.count == 2


# The hub's cache.


@pytest.fixture
def origin(tmp_path: Path) -> Hub:
    """A repository of two files in the hub's cache: a large one under its hash, and a small one."""
    revision = "3" * 40
    with only_here(tmp_path):
        snapshot = in_hub_cache(tmp_path / "hub", "someone/model", revision)
        blobs = snapshot.parents[1] / "blobs"
        blobs.mkdir()
        for name, content in ((WEIGHTS, b"weights" * 99), ("config.json", b'{"d": 4}' * 9)):
            called = hashlib.sha256(content).hexdigest() if name == WEIGHTS else "4" * 40
            (blobs / called).write_bytes(content)
            (snapshot / name).symlink_to(blobs / called)
    files = (HubFile(WEIGHTS, 700), HubFile("config.json", 70))
    return Hub("someone/model", revision, files)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
@pytest.mark.parametrize("how", SPOILED)
def test_a_damaged_file_of_the_hub_is_fetched_again(
    origin: Hub, name: str, how: str, tmp_path: Path
) -> None:
    with only_here(tmp_path) as patch:
        folder = hub.hub_folder(origin)
        whole = (folder / name).read_bytes()
        SPOILED[how]((folder / name).resolve())
        with pytest.raises(UserError) as raised:
            hub.hub_folder(origin)
        said = one_sentence(raised)
        assert said.startswith(f"{name} of someone/model") and "could not be fetched" in said

        def download(repo: str, name: str, revision: str) -> str:
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes(whole)
            return str(folder / name)

        patch.setattr(huggingface_hub, "hf_hub_download", download)
        assert hub.hub_folder(origin) == folder
        assert (folder / name).read_bytes() == whole


def test_what_is_whole_is_not_read_again(
    origin: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with only_here(tmp_path) as patch, caplog.at_level(logging.WARNING):
        hub.hub_folder(origin)
        patch.setattr("metasae.sources.seals.sha256", never("it has not changed"))
        hub.hub_folder(origin)
        patch.undo()
    assert caplog.records == []
    assert "hub-seals/someone--model.json" in everything_below(tmp_path / "cache")


def test_a_pinned_file_that_is_another_is_said_and_a_damaged_record_is_made_anew(
    origin: Hub, tmp_path: Path
) -> None:
    with only_here(tmp_path):
        hub.hub_folder(origin)
        cache.hub_seals(origin.repo).write_text("{")
        hub.hub_folder(origin)
        pinned = replace(origin, files=(HubFile(WEIGHTS, 700, "0" * 64), origin.files[1]))
        with pytest.raises(UserError, match="could not be fetched"):
            hub.hub_folder(pinned)
