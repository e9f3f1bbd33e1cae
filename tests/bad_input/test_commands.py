"""Mutated command lines: each ends soon, in a result or a sentence, and writes nowhere else."""

import json
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metasae import cli
from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.sources.cache import CACHE_VARIABLE
from tests.bad_input import mutations
from tests.bad_input.watching import WRITES, ends_soon, is_a_sentence
from tests.builders import random_sae

CASES = 30
"""Of each command."""

SLOW = {"everywhere": 5, "search": 8, "own": 12, "pairs": 10, "info": 6, "steer": 15}
"""Fewer of those that ask the model much, or hash what is shipped."""

COMMANDS = {
    "workbench": ["workbench", "--port", "8599", "--", "--server.headless=true"],
    "info": ["info"],
    "fetch": ["fetch"],
    "build": ["build", "--out", "built"],
    "cities": ["cities"],
    "city": ["city", "Tokyo"],
    "wordings": ["wordings"],
    "decompose": ["decompose", "5", "--width", "64"],
    "latents": ["latents", "--text", "Tokyo", "--width", "64"],
    "describe": ["describe", "--width", "64", "--text", "a.txt", "--tokens", "300", "--out", "d"],
    "asked": ["describe", "--endpoint", "http://127.0.0.1:1/v1", "--endpoint-model", "m", "--yes"],
    "examples": ["examples"],
    "score-labels": [
        "score-labels", "--endpoint", "http://127.0.0.1:1/v1", "--yes", "--width", "64",
        "--latents", "1,2", "--tokens", "300", "--pieces", "4", "--quantiles", "2",
    ],
    "graph": ["graph", "5", "Tokyo", "--depth", "1", "--top", "3", "--out", "g.json"],
    "whole": ["graph", "--whole", "--threshold", "0.5"],
    "steer": [
        "steer", "--source", "Tokyo", "--target", "Paris", "--remove=1,32", "--strength=3=0.5",
        "--position", "all", "--generate", "3", "--seed", "1",
    ],
    "own": [
        "steer", "--source", "#1,#2", "--target", "Paris", "--target-latents", "3", "--prompt",
        "I like {city} and", "--answers", "tea,jazz", "--cite",
    ],
    "everywhere": ["steer", "--source", "Tokyo", "--target", "Paris", "--everywhere", "--remove=1"],
    "masked": ["steer", "--source", "Tokyo", "--target", "Paris", "--mask", "country"],
    "search": [
        "search", "--source", "Tokyo", "--target", "Paris", "--attributes", "country,currency",
        "--strengths", "1", "--max-exact", "3000", "--out", "s.csv",
    ],
    "pairs": ["search", "--all-pairs", "--cities", "Tokyo,Paris", "--attributes", "country"],
    "study": ["study", "max-cosine", "--seeds", "1", "--set=smaller_share=0.5", "--out", "st"],
    "ravel": ["ravel", "--quick", "--seeds", "1", "--methods", "replace", "--steps", "1"],
    "train-meta": ["train-meta", "--sae", "sae", "--out", "m", "--steps", "3", "--width", "4"],
    "train-sae": ["train-sae", "--text", "a.txt", "--out", "b", "--tokens", "300", "--width", "8"],
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a person works: a text, an SAE."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "a.txt").write_text("Tokyo is in Japan. " * 200)
    formats.save(random_sae(6, 12, k=2), folder / "sae")
    return folder


@pytest.fixture
def person(home: Path, small_default: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person at a shell in that folder, offline, with the small lab; nothing slow begins."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(CACHE_VARIABLE, str(home / "cache"))
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    monkeypatch.setattr("metasae.lm.loading.load_model", lambda *_: small_default.model)
    monkeypatch.setattr("metasae.training.base_sae.load_model", lambda *_: small_default.model)
    for slow in (
        "metasae.lm.loading.prepare_model", "metasae.release.build.build",
        "metasae.explorer.gathering.gather_evidence", "metasae.studies.runs.Run.answer",
        "metasae.training.base_sae.make", "metasae.training.meta_sae_run.make",
        "metasae.release.measure.measure", "metasae.explorer.label_server.Endpoint.ask",
        "metasae.lab.wordings.measured", "metasae.lab.ray_cluster.over_ray", "os.execv",
    ):  # fmt: skip
        monkeypatch.setattr(slow, _begins)
    return home


def _begins(*_: object, **__: object) -> Any:
    raise UserError("Here the work would begin.")


Run = Callable[[list[str]], None]


@pytest.fixture
def tried(person: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and sees how it ends."""

    def run(words: list[str]) -> None:
        capsys.readouterr()
        code: object
        with ends_soon(), WRITES.only_in(person):
            try:
                code = cli.main(words)
            except SystemExit as stopped:
                code = stopped.code
        said = capsys.readouterr()
        assert code in (0, 1, 2)
        if code == 0:
            assert said.out.strip()
            if "--json" in words:
                json.loads(said.out, parse_constant=pytest.fail)
        elif code == 1:
            assert said.out == "" and said.err.count("\n") == 1
            is_a_sentence(said.err.removeprefix("metasae: ").rstrip("\n"))
        else:
            assert said.out == "" and "Traceback" not in said.err

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_as_it_should_be_is_taken(
    name: str, person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else its mutations would all be stopped by the same check."""
    code = cli.main(COMMANDS[name])
    said = capsys.readouterr().err
    allowed = {
        "masked": "no mask", "examples": "post's", "score-labels": "describe",
    }.get(name, "the work would begin")  # fmt: skip
    assert code == 0 or allowed in said, said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mutated_command_ends_in_a_result_or_a_sentence(name: str, tried: Run) -> None:
    draw = random.Random(f"commands {name}")
    found = []
    for _ in range(SLOW.get(name, CASES)):
        words = mutations.words(draw, COMMANDS[name])
        if draw.random() < 0.3:
            words.append("--json")
        try:
            tried(words)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            found.append(f"{shlex.join(words)[:300]!r}: {type(error).__name__}: {error}")
    assert not found, "\n".join(found)
