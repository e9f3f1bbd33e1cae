"""A release is made in order, stage by stage; whole on a small model; on where it was stopped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metasae.lab.lab import open_lab
from metasae.release import build as module
from metasae.release.build import build, follow, make_base, make_meta, make_words
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED, Preset
from tests.builders import random_sae
from tests.small_release import RECIPE, Built, small_preset

FILES = {"cities.json", "names.parquet", "report.json", "words.parquet", *(
    f"{folder}/{name}"
    for folder in ("meta-sae", "sae-16", "sae-32", "sae-64")
    for name in ("cfg.json", formats.WEIGHTS)
)}  # fmt: skip


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in files}


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Three widths of which the middle one is decomposed, and a cache of its own."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return replace(small_preset(tmp_path / "model", tmp_path / "weights"), opened_width=32)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `build` does, one after the other, nothing of it done."""
    done: list[Any] = []

    def does(name: str, *kept: int, gives: Any = None) -> Callable[..., Any]:
        def stage(*given: Any, **_: Any) -> Any:
            done.append((name, *(given[place] for place in kept)))
            return gives

        return stage

    for name, kept, gives in (
        ("material", (0,), "text"), ("make_base", (1, 3), None), ("make_words", (2,), None),
        ("kept_base", (1,), None), ("measure_base", (2,), "base"), ("load_model", (), "model"),
        ("make_meta", (2,), None),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, does(name, *kept, gives=gives))

    def measured(*given: Any) -> dict[str, Any]:
        _, out, base, model, text, _, recipe = given
        done.append(("measure_meta", out, base, model, text(), recipe))
        return {"made": True}

    monkeypatch.setattr(module, "measure_meta", measured)
    return done


def test_what_is_missing_is_made_the_largest_first(
    preset: Preset, tmp_path: Path, stages: list[Any]
) -> None:
    assert build(preset, tmp_path / "out", recipe=RECIPE) == {"made": True}
    assert stages == [
        ("material", preset),  # once
        ("make_base", 64, "text"),
        ("make_base", 32, "text"),
        ("make_base", 16, "text"),
        ("make_words", "text"),
        ("kept_base", tmp_path / "out"),
        ("measure_base", "text"),
        ("load_model",),
        ("make_meta", RECIPE),
        ("measure_meta", tmp_path / "out", "base", "model", "text", RECIPE),
    ]


def test_what_is_there_is_made_and_read_no_second_time(
    preset: Preset, tmp_path: Path, stages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sae-64", "sae-32", "sae-16", "words.parquet", "meta-sae"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(module, "kept_base", lambda *_: "kept")
    monkeypatch.setattr(module, "measure_meta", lambda *given: {"base": given[2]})
    assert build(preset, tmp_path, recipe=RECIPE) == {"base": "kept"}
    assert stages == [("load_model",)]
    (tmp_path / "sae-32").rmdir()
    (tmp_path / "meta-sae").rmdir()
    build(preset, tmp_path, recipe=RECIPE)
    assert stages[1:] == [
        ("material", preset), ("make_base", 32, "text"), ("load_model",), ("make_meta", RECIPE),
    ]  # fmt: skip


def test_the_sae_that_is_opened_is_trained_on_with_the_model(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = cache.build(preset.kept_as)
    trained = {16: random_sae(8, 16, k=4), 32: random_sae(8, 32, k=4)}
    followed = random_sae(8, 32, k=6, seed=1)
    text: Any = SimpleNamespace()

    def train(given: Any, config: Any, *, checkpoint: Path, progress: Any) -> SparseAutoencoder:
        assert given is text and config == RECIPE.of_sae(preset, config.width)
        assert checkpoint == scratch / f"sae-{config.width}.safetensors"
        return trained[config.width]

    def on(given: Any, sae: Any, config: Any, checkpoint: Path, progress: Any) -> Any:
        assert given is text and sae is trained[32] and config == RECIPE.of_follow(preset)
        assert checkpoint == scratch / "follow.safetensors"
        return followed

    monkeypatch.setattr(module, "train_base_sae", train)
    monkeypatch.setattr(module, "follow", on)
    for width, expected in ((16, trained[16]), (32, followed)):
        make_base(preset, width, tmp_path, text, RECIPE)
        made = formats.load(tmp_path / f"sae-{width}")
        assert torch.equal(made.W_dec, expected.W_dec.half().float()) and made.k == expected.k
        config = RECIPE.of_sae(preset, width)
        notes = {
            "model_name": "small", "hook_name": "blocks.2.hook_resid_pre", "prepend_bos": True,
            "context_size": 96, "training": json.loads(json.dumps(asdict(config))),
        }  # fmt: skip
        if width == 32:
            notes["trained_on"] = json.loads(json.dumps(asdict(RECIPE.of_follow(preset))))
        assert made.metadata == notes


def test_following_splices_in_the_same_units(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Finetuner:
        def __init__(self, *given: Any) -> None:
            made.append(given)

        def run(self, checkpoint: Path, every: int, progress: Any, stage: str) -> None:
            made.append((checkpoint, stage))

        def result(self) -> str:
            return "followed"

    monkeypatch.setattr(module, "KLFinetuner", Finetuner)
    monkeypatch.setattr(module, "fast_dtype", lambda: torch.float64)
    text: Any = SimpleNamespace(model="model", windows="windows", activations="acts", scale=0.5)
    given: Any = ("sae", "config", Path("kept"))
    made_of: Any = follow(text, *given)
    assert made_of == "followed"
    assert made == [
        ("model", "windows", "acts", "sae", "config", 0.5, torch.float64),
        (Path("kept"), "Following the model's output"),
    ]


def test_words_are_of_the_sae_that_is_opened(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"latent": [3, 1], "word": ["Oslo", "tea"]}, index=[5, 6])

    def words(text: Any, sae: SparseAutoencoder, progress: Any) -> pd.DataFrame:
        assert text == "text" and sae.width == 32
        return table

    monkeypatch.setattr(module, "words_of_latents", words)
    formats.save(random_sae(8, 32, k=2), tmp_path / "sae-32")
    text: Any = "text"
    make_words(preset, tmp_path, text)
    made = pd.read_parquet(tmp_path / "words.parquet")
    pd.testing.assert_frame_equal(made, table.reset_index(drop=True))


def test_the_meta_sae_is_trained_on_the_directions_of_the_sae_that_is_opened(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats.save(random_sae(8, 32, k=2), tmp_path / "sae-32")
    directions = formats.load(tmp_path / "sae-32").W_dec
    made = random_sae(8, 12, k=None)

    def train(rows: Any, config: Any, *, progress: Any) -> SparseAutoencoder:
        assert torch.equal(rows.rows(np.arange(32)), directions)
        assert config == RECIPE.of_meta(preset) and config.width == 12
        return made

    monkeypatch.setattr(module, "train_meta_sae", train)
    make_meta(preset, tmp_path, RECIPE)
    meta = formats.load(tmp_path / "meta-sae")
    assert torch.equal(meta.W_dec, made.W_dec.half().float())
    assert meta.metadata["trained_on"] == "decoder of sae-32"
    assert meta.metadata["training"] == json.loads(json.dumps(asdict(RECIPE.of_meta(preset))))


@pytest.mark.slow
def test_every_file_is_made_as_the_recipe_says(built: Built) -> None:
    assert set(hashes(built.folder)) == FILES
    preset = built.release.preset
    for width, steps in ((16, 20), (32, 20), (64, 40)):
        sae = formats.load(built.folder / f"sae-{width}")
        k = RECIPE.follow.k if width == 64 else RECIPE.base.k
        assert (sae.width, sae.d_in, sae.k) == (width, 32, k)
        assert sae.W_dec.norm(dim=1) == pytest.approx(torch.ones(width), abs=2e-3)
        told = sae.metadata["training"]
        assert (told["width"], told["steps"], told["batch"]) == (width, steps, 256)
        assert sae.metadata["hook_name"] == "blocks.2.hook_resid_pre"
        assert ("trained_on" in sae.metadata) == (width == 64)
    followed = formats.load(built.folder / "sae-64").metadata["trained_on"]
    assert followed == json.loads(json.dumps(asdict(RECIPE.of_follow(preset))))
    meta = formats.load(built.folder / "meta-sae")
    assert meta.width == 12 and "started_at_countries" not in meta.metadata


@pytest.mark.slow
def test_what_is_made_opens(built: Built) -> None:
    lab = open_lab(built.release.preset)
    assert set(lab.records) == {city.name for city in built.release.cities}
    assert all(all(record.known.values()) for record in lab.records.values())
    assert (lab.n_latents, lab.n_meta) == (64, 12)
    words = {word.strip(".,()") for latent in range(64) for word in lab.latent_words(latent)}
    assert {"Paris", "Japan"} <= words


def keys(values: object, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The path of every key; a list by its first entry."""
    if isinstance(values, list) and values:
        return keys(values[0], (*above, "[]"))
    if not isinstance(values, dict):
        return set()
    inner = (keys(value, (*above, key)) for key, value in values.items())
    return {(*above, key) for key in values}.union(*inner)


@pytest.mark.slow
def test_the_report_has_the_keys_of_the_shipped_one(built: Built) -> None:
    assert EMBEDDED.weights is not None
    shipped = json.loads((EMBEDDED.weights / "report.json").read_text())
    assert list(built.report) == list(shipped)
    # The same but for the text's sources and the weights' files.
    named = ("text", "saes_by_source", "weights_sha256")
    made = {path for path in keys(built.report) if path[0] not in named}
    there = {path for path in keys(shipped) if path[0] not in named}
    assert there == made
    assert keys(built.report["text"]["kept"]) == keys(shipped["text"]["wikipedia-en"])


class Stopped(Exception):
    """What a person's interrupt is to a build."""


STAGES = (
    "Residuals before layer 2",
    "SAE of 64 latents",
    "Following the model's output",
    "SAE of 32 latents",
    "Collecting each latent's words",
    "Measuring the SAEs on held-out text",
    "Meta-SAE",
    "Ranking the cities' latents",
    "Control on Gaussian rows",
    "Swapping cities",
)
"""Where a build is stopped, one after the other."""

ONCE = ("Residuals", "SAE of", "Following", "Collecting", "Meta-SAE", "Control")
"""Stages that leave something behind that is not made again."""


@pytest.mark.long
def test_a_build_that_is_stopped_again_and_again_ends_in_the_same(
    built: Built, tmp_path: Path
) -> None:
    release = replace(built.release, cache=tmp_path / "cache")
    out = tmp_path / "weights"
    finished: list[str] = []
    before: dict[str, str] = {}
    for stage in (*STAGES, None):
        seen: list[str] = []

        def stop(told: str, fraction: float, note: str, stage: str | None = stage,
                 seen: list[str] = seen) -> None:  # fmt: skip
            if stage is not None and told.startswith(stage):
                raise Stopped
            if told not in seen:
                seen.append(told)

        if stage is None:
            report = release.build(out, stop)
        else:
            with pytest.raises(Stopped):
                release.build(out, stop)
        again = [told for told in seen if told in finished and told.startswith(ONCE)]
        assert again == [], stage
        finished += seen
        after = hashes(out) if out.exists() else {}
        assert set(after) <= FILES, stage
        kept = {name: value for name, value in after.items() if not name.endswith(".json")}
        assert before.items() <= kept.items(), stage
        before = kept
    assert hashes(out) == hashes(built.folder)
    assert report == built.report


@pytest.mark.slow
def test_what_is_there_is_kept(built: Built, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    shutil.rmtree(out / "sae-16")
    # The tables are measured anew.
    files = [path for path in out.rglob("*.parquet") if path.name != "names.parquet"]
    files += out.rglob("*.safetensors")
    written = {path: path.stat().st_mtime_ns for path in files}
    release = replace(built.release, cache=tmp_path / "cache")
    release.build(out)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert hashes(out) == hashes(built.folder)


@pytest.mark.slow
def test_text_is_not_read_when_all_that_is_made_of_it_is_there(
    built: Built, tmp_path: Path
) -> None:
    out = tmp_path / "weights"
    shutil.copytree(built.folder, out)
    shutil.rmtree(out / "meta-sae")
    assert built.release.build(out, readable=False) == built.report
    (out / "words.parquet").unlink()
    with pytest.raises(AssertionError, match="the text is read"):
        replace(built.release, cache=tmp_path / "cache").build(out, readable=False)
