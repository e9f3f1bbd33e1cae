"""Base SAEs of one's own, on a small model and the user's text."""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pytest
import sae_lens
import torch
from safetensors.torch import load_file

import metasae
from metasae.cli import main
from metasae.errors import UserError
from metasae.saes import formats
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import read_json, write_json
from metasae.sources.presets import PRESETS, Preset
from metasae.sources.versions import NewerError
from metasae.text import windows as windows_module
from metasae.text.cities import load_cities
from metasae.text.document import Document
from metasae.text.prompts import QUESTIONS, fill
from metasae.training import base_sae, trainer
from metasae.training.config import TrainConfig
from metasae.training.residuals import collect
from metasae.training.trainer import Trainer
from tests.builders import one_sentence
from tests.small_models import D_MODEL, HOOK, small_gemma, small_gpt2

CONFIG = TrainConfig(width=64, k=3, steps=60, batch=128, lr=5e-3, warmup=5)


@pytest.fixture(scope="module", params=[small_gpt2, small_gemma], ids=["gpt2", "gemma"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Preset, Path]]:
    folder = tmp_path_factory.mktemp("base")
    sentences = [
        f"{fill(one, city.name)} {city.answers(name)[0]}."
        for city in load_cities() for name, one in QUESTIONS.items()
    ]  # fmt: skip
    (folder / "text.txt").write_text("\n\n".join(sentences))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        preset = request.param(folder / "hub")
        patch.setitem(PRESETS, preset.name, preset)
        yield preset, folder


@pytest.fixture(scope="module")
def text(place: tuple[Preset, Path]) -> base_sae.TrainingText:
    preset, folder = place
    return base_sae.read_training_text(preset, [folder / "text.txt"], tokens=4000)


def test_the_residuals_are_the_models(text: base_sae.TrainingText) -> None:
    acts = text.activations
    assert 3000 < len(acts) < 4200 and acts.mean.shape == (D_MODEL,)
    for row in (0, 100, len(acts) - 1):
        window, position = int(acts.window[row]), int(acts.position[row])
        tokens = text.windows.tokens[window, : int(text.windows.lengths[window])].long()
        expected = text.model.residual(tokens[None])[0, position]
        assert (
            torch.from_numpy(acts.resid[row]).float() - expected
        ).norm() < 0.05 * expected.norm()
    held = {int(text.windows.document[w]) for w in set(acts.window.tolist())}
    assert not any(text.windows.held_out[document] for document in held)


@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
@pytest.mark.parametrize("start", ["data", "random"])
def test_what_is_trained_explains_held_out_text(
    text: base_sae.TrainingText, selection: str, start: str
) -> None:
    sae = base_sae.train_base_sae(text, replace(CONFIG, selection=selection, start=start))  # type: ignore[arg-type]
    found = base_sae.measure(text, sae)
    assert (sae.k is None) == (selection == "batch_topk")
    assert found["l0"] == pytest.approx(3, abs=0.01 if selection == "topk" else 1.2)
    assert found["fve"] > 0.3 and found["tokens_measured"] > 50


def test_it_goes_on_from_another_sae(text: base_sae.TrainingText) -> None:
    first = base_sae.train_base_sae(text, CONFIG)
    again = base_sae.train_base_sae(
        text, replace(CONFIG, start="sae", lr=1e-12, steps=1), initial=first
    )
    assert torch.allclose(again.W_dec, first.W_dec, atol=1e-6)
    with pytest.raises(UserError, match="The SAE to start from has 64 latents"):
        base_sae.train_base_sae(text, replace(CONFIG, start="sae", width=32), initial=first)


def test_the_command_writes_a_folder_saelens_opens(
    place: tuple[Preset, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    preset, folder = place
    out = tmp_path / "mine"
    command = [
        "train-sae", "--preset", preset.name, "--text", str(folder / "text.txt"), "--tokens",
        "4000", "--width", "64", "--steps", "20", "--batch", "128", "--out", str(out),
    ]  # fmt: skip
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["hook"] == f"blocks.{HOOK}.hook_resid_pre" and report["text"] == ["text.txt"]
    theirs = sae_lens.SAE.load_from_disk(str(out))
    ours = formats.load(out)
    x = torch.randn(20, D_MODEL) * 3
    assert (theirs.encode(x) - ours.encode(x)).abs().max() < 1e-4
    assert main(command) == 1
    assert "holds something already" in capsys.readouterr().err
    for more, said in (
        (["--tokens", "0"], "tokens is 0"),
        (["--width", "0"], "width is 0"),
        (["--width", "99999"], "fewer than the 99,999 latents"),
        (["--text", str(tmp_path / "none.txt")], "can't be read as UTF-8"),
        (["--start", str(tmp_path)], "is no SAE in SAELens's format"),
    ):
        assert main([*command[:-1], str(tmp_path / "other"), *more]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(
    place: tuple[Preset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: Any
) -> None:
    preset, folder = place
    config = replace(CONFIG, selection=selection)

    def run(out: str, **more: Any) -> dict[str, Any]:
        texts = [folder / "text.txt"]
        return base_sae.make(preset, config, tmp_path / out, texts, tokens=4000, **more)

    def breaking_off(stage: str, share: float, note: str = "") -> None:
        if stage.startswith("SAE of") and share >= 0.5:
            raise KeyboardInterrupt

    whole = run("whole")
    clock = itertools.count(0.0, 60.0)  # so slow that every step is kept
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "time", SimpleNamespace(monotonic=clock.__next__))
        with pytest.raises(KeyboardInterrupt):
            run("mine", progress=breaking_off)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "mine.sae.checkpoint"}
    with pytest.raises(UserError) as raised:
        run("mine")
    assert "--resume" in one_sentence(raised)
    shares: list[float] = []

    def noting(stage: str, share: float, note: str = "") -> None:
        if stage.startswith("SAE of"):
            shares.append(share)

    again = run("mine", resume=True, progress=noting)
    assert shares == [step / CONFIG.steps for step in range(CONFIG.steps // 2 + 1, 61)]
    weights = [load_file(tmp_path / out / formats.WEIGHTS) for out in ("mine", "whole")]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert again == whole
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "mine"}


def test_a_text_with_nothing_to_measure_on_is_refused_before_a_training(
    place: tuple[Preset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, _ = place
    (tmp_path / "short.txt").write_text("\n\n".join(f"{n}." for n in range(400)))
    config = replace(CONFIG, width=8)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("it was trained"))
    with pytest.raises(UserError) as raised:
        base_sae.make(preset, config, tmp_path / "mine", [tmp_path / "short.txt"])
    assert "No text was held out" in one_sentence(raised)
    assert [path.name for path in tmp_path.iterdir()] == ["short.txt"]


def test_a_training_that_cannot_be_measured_can_be_gone_on_with(
    place: tuple[Preset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, folder = place
    measured = base_sae.measure

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(base_sae, "measure", killed)
    texts = [str(folder / "text.txt")]
    with pytest.raises(KeyboardInterrupt):
        base_sae.make(preset, CONFIG, tmp_path / "mine", texts, tokens=4000)
    monkeypatch.setattr(base_sae, "measure", measured)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("it was trained again"))
    report = base_sae.make(preset, CONFIG, tmp_path / "mine", texts, tokens=4000, resume=True)
    assert json.loads((tmp_path / "mine" / formats.REPORT).read_text()) == json.loads(
        json.dumps(report)
    )


@pytest.mark.parametrize(
    ("changes", "text_said"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"k": 65}, "k is 65, more than the 64 latents"),
        ({"width": 99_999}, "fewer than the 99,999 latents"),
        ({"start": "sae"}, "none is named"),
    ],
)
def test_the_library_refuses_what_the_command_does(
    text: base_sae.TrainingText, changes: dict[str, Any], text_said: str
) -> None:
    with pytest.raises(UserError) as raised:
        metasae.train_base_sae(text, replace(CONFIG, **changes))
    assert text_said in one_sentence(raised)


def test_the_default_text_is_cut_into_windows_once(
    place: tuple[Preset, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, _ = place
    texts = [Document("one", f"The number {n} is about as large as {n}.", False) for n in range(9)]
    monkeypatch.setattr(windows_module, "default_documents", lambda progress: texts)
    first = metasae.read_training_text(preset)
    monkeypatch.setattr(windows_module, "default_documents", None)
    again = metasae.read_training_text(preset)
    assert torch.equal(again.windows.tokens, first.windows.tokens)


@pytest.fixture
def kept(text: base_sae.TrainingText, tmp_path: Path) -> Path:
    """A folder with the residuals of a text."""
    collect(text.model, text.windows, tmp_path / "kept")
    return tmp_path / "kept"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("done.json", b"{"), ("done.json", b"[]"), ("done.json", b"{}"), ("resid.f16", b"cut"),
        ("place.i32", b"cut"),
    ],
)  # fmt: skip
def test_damaged_residuals_are_said(
    text: base_sae.TrainingText, kept: Path, file: str, content: bytes
) -> None:
    (kept / file).write_bytes(content)
    with pytest.raises(UserError) as raised:
        collect(text.model, text.windows, kept)
    assert f"The residuals in {kept} are damaged" in one_sentence(raised)


@pytest.mark.parametrize("file", ["done.json", "state.json"])
def test_residuals_of_a_newer_version_are_left_as_they_are(
    text: base_sae.TrainingText, kept: Path, file: str
) -> None:
    values = read_json(kept / file)
    assert values.pop("format") == 1
    if file == "state.json":
        (kept / "done.json").unlink()
    write_json(kept / file, values)
    collect(text.model, text.windows, kept)
    if file == "state.json":
        (kept / "done.json").unlink()
    write_json(kept / file, values | {"format": 2})
    with pytest.raises(NewerError, match="update metasae"):
        collect(text.model, text.windows, kept)


@pytest.mark.parametrize("file", ["state.json", "resid.f16", "place.i32"])
def test_what_a_stopped_collecting_left_is_not_gone_on_with_when_damaged(
    text: base_sae.TrainingText, kept: Path, file: str
) -> None:
    (kept / "done.json").unlink()
    (kept / file).write_bytes(b"cut")
    with pytest.raises(UserError) as raised:
        collect(text.model, text.windows, kept)
    assert "are damaged; delete that folder" in one_sentence(raised)


def test_a_full_disk_is_said_and_the_residuals_are_gone_on_with(
    text: base_sae.TrainingText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError) as raised:
            collect(text.model, text.windows, tmp_path / "kept")
    assert "No space left on device" in one_sentence(raised)
    again = collect(text.model, text.windows, tmp_path / "kept")
    assert len(again) == len(text.activations)
    assert torch.equal(again.mean, text.activations.mean)


def test_a_text_that_is_all_held_out_is_refused(
    text: base_sae.TrainingText, tmp_path: Path
) -> None:
    held_out = replace(text.windows, held_out=(True,) * len(text.windows.held_out))
    with pytest.raises(UserError) as raised:
        collect(text.model, held_out, tmp_path / "kept")
    assert "nothing to train on" in one_sentence(raised)
    assert not (tmp_path / "kept").exists()
