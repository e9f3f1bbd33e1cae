"""What is kept: a flipped bit or a cut is noticed, a full disk and a read-only cache are said."""

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metasae.cli import main
from metasae.errors import UserError
from metasae.explorer.bands import BANDS
from metasae.explorer.evidence import Evidence
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.saes.directions import Directions, open_directions
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.presets import PRESETS
from metasae.studies.parts import Parts
from metasae.studies.registry import study as named
from metasae.studies.runs import begin
from metasae.training import meta_sae_run
from metasae.training.rows import TensorRows
from metasae.training.trainer import Trainer
from tests.bad_input.watching import WRITES
from tests.builders import everything_below, one_sentence, random_sae, unit_rows
from tests.metasae.training.planted import CONFIG, rows

FLIPS = 60
"""Bits that are flipped in each kind of file, one at a time."""


def same(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def evidence(folder: Path) -> Callable[[], pd.DataFrame]:
    draw = np.random.default_rng(0)
    contexts = pd.DataFrame(
        {
            "latent": np.sort(draw.integers(0, 5, 400)).astype("int32"),
            "context": draw.integers(0, 9, 400).astype("int16"),
            "window": draw.integers(0, 90, 400).astype("int32"),
            "position": draw.integers(1, 30, 400).astype("int16"),
            "activation": draw.random(400).astype("float32"),
        }
    )
    Evidence(contexts, np.ones((5, BANDS), dtype=np.int64), 1000, 1.0, "t", 0).save(folder, 5)
    return lambda: Evidence.load(folder, 5).contexts


def part(folder: Path) -> Callable[[], pd.DataFrame]:
    made = pd.DataFrame({"value": np.random.default_rng(0).random(300), "name": ["x"] * 300})
    Parts(folder).table("one", lambda: made)
    # What is damaged is made anew, which comes to the same here.
    return lambda: Parts(folder).table("one", lambda: made)


def checkpoint(folder: Path) -> Callable[[], dict[str, torch.Tensor]]:
    def trainer() -> Trainer:
        return Trainer(TensorRows(rows()), CONFIG, device="cpu")

    begun = trainer()
    begun.advance()
    begun.save(folder / "c.checkpoint")

    def read() -> dict[str, torch.Tensor]:
        back = trainer()
        back.restore(folder / "c.checkpoint")
        return dict(back.p.tensors())

    return read


def sae(folder: Path) -> Callable[[], dict[str, torch.Tensor]]:
    formats.save(random_sae(24, 30, k=2), folder)

    def read() -> dict[str, torch.Tensor]:
        (directions,) = open_directions([str(folder)]).parts
        found = formats.load(folder)
        return {"W_dec": found.W_dec, "W_enc": found.W_enc, "directions": directions}

    return read


@pytest.mark.parametrize("make", [evidence, part, checkpoint, sae])
def test_a_flipped_bit_or_a_cut_is_noticed(
    make: Callable[[Path], Callable[[], Any]], tmp_path: Path
) -> None:
    read = make(tmp_path)
    whole = read()
    path = max(tmp_path.iterdir(), key=lambda one: one.stat().st_size)
    content, draw = path.read_bytes(), random.Random(0)
    noticed = 0
    for number in range(FLIPS):
        spoiled = bytearray(content)
        at = draw.randrange(len(content))
        spoiled[at] ^= 1 << draw.randrange(8)
        path.write_bytes(spoiled if number % 6 else content[:at])
        try:
            assert same(whole, read()), at
        except UserError as error:
            noticed += "damaged" in str(error)
            assert "Traceback" not in str(error)
    assert noticed or make is part
    path.write_bytes(content)
    assert same(whole, read())


# A full disk: the system lets no file grow beyond some bytes, whoever writes it.


@contextmanager
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_training_on_a_full_disk_is_said_and_goes_on(tmp_path: Path) -> None:
    directions = Directions(("one",), (rows(),))
    with full_disk(), pytest.raises(UserError, match="could not be written") as raised:
        meta_sae_run.make(directions, CONFIG, tmp_path / "out")
    assert "Error" not in one_sentence(raised)
    assert not (tmp_path / "out").exists()
    meta_sae_run.make(directions, CONFIG, tmp_path / "out", resume=True)
    meta_sae_run.make(directions, CONFIG, tmp_path / "whole")
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [name for name in everything_below(tmp_path) if name.startswith(".out")]


def test_a_study_on_a_full_disk_is_said_and_goes_on(
    small_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    study = named("rebuild")
    run = begin(small_lab, study, study.configured({"steps": "6", "smallest": "0.5"}), 1)
    with full_disk(), pytest.raises(UserError, match="could not be written") as raised:
        run.answer(small_lab)
    one_sentence(raised)
    assert run.answer(small_lab).figures
    assert not [name for name in everything_below(run.folder) if "/." in name]


def test_evidence_on_a_full_disk_is_said_and_the_old_stays(tmp_path: Path) -> None:
    read = evidence(tmp_path)
    whole = read()
    with full_disk(), pytest.raises(UserError, match="could not be written") as raised:
        evidence(tmp_path)
    one_sentence(raised)
    assert same(whole, read())


# A read-only cache.

READING = {
    "city": ["city", "Tokyo"],
    "cities": ["cities"],
    "decompose": ["decompose", "5"],
    "graph": ["graph", "5"],
    "steer": ["steer", "--source", "Tokyo", "--target", "Paris", "--cite"],
    "latents": ["latents", "--text", "Tokyo"],
}

WRITING = {
    "search": ["search", "--source", "Tokyo", "--target", "Paris", "--attributes", "country"],
    "study": ["study", "max-cosine"],
    "describe": ["describe", "--text", "text.txt"],
    "ravel": ["ravel", "--quick"],
}


@pytest.fixture
def sealed(small_default: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache that can be read and not written."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (tmp_path / "text.txt").write_text("Tokyo is in Japan.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    monkeypatch.setitem(PRESETS, small_default.preset.name, small_default.preset)
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    with WRITES.read_only(cache):
        yield cache


@pytest.mark.parametrize("name", READING)
def test_what_only_reads_works_on_a_read_only_cache(name: str, sealed: Path) -> None:
    assert main(READING[name]) == 0


@pytest.mark.parametrize("name", WRITING)
def test_what_writes_says_that_the_cache_is_read_only(
    name: str, sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(WRITING[name]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("metasae: ") and "Read-only file system" in said and str(sealed) in said
    assert everything_below(sealed) == []


def test_directions_are_read_from_a_read_only_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", unit_rows(0).numpy())
    with WRITES.read_only(tmp_path):
        from metasae.saes.directions import open_directions

        assert len(open_directions([str(tmp_path / "d.npy")])) == 40
