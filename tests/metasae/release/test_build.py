"""A release is made whole on a small model, and goes on where it was stopped."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from metasae.lab.lab import open_lab
from metasae.saes import formats
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED
from tests.small_release import RECIPE, Built

pytestmark = pytest.mark.slow

FILES = {"cities.json", "names.parquet", "report.json", "words.parquet", *(
    f"{folder}/{name}"
    for folder in ("meta-sae", "sae-16", "sae-32", "sae-64")
    for name in ("cfg.json", formats.WEIGHTS)
)}  # fmt: skip


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in files}


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
