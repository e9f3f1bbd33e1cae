"""Every number and every place to write a command takes: absurd ones end in one sentence, soon."""

import argparse
import functools
import itertools
from pathlib import Path

import pytest

from metasae.cli.main import _parser
from metasae.lab.lab import Lab
from metasae.saes import formats
from metasae.sources.cache import CACHE_VARIABLE
from tests import command_line
from tests.builders import random_sae

refused = functools.partial(command_line.refused, codes=(1, 2))
"""By the command or by the parser."""

NEEDED = {
    "steer": ["--source", "Tokyo", "--target", "Paris"],
    "search": ["--source", "Tokyo", "--target", "Paris"],
    "latents": ["--text", "Tokyo"],
    "graph": ["5"],
    "decompose": ["5"],
    "city": ["Tokyo"],
    "study": ["max-cosine"],
    "export": ["--to", "lm-eval", "--latents", "5"],
    "score-labels": ["--endpoint", "http://127.0.0.1:1/v1"],
}
"""Words without which a command does nothing."""

ABSURD = ("-1", "-5", "0", "1" + "0" * 30, "1" * 5000, "nan", "inf", "-inf", "1e400", "x", "", "½")
"""What no option takes, but for those in `TAKEN`."""

TAKEN = {
    ("decompose", "latent"): {"0"},
    ("graph", "--threshold"): {"0"},
    ("search", "--above"): {"0"},
    ("steer", "--above"): {"0"},
    ("steer", "--seed"): {"0"},
    ("train-meta", "--seed"): {"0"},
    ("train-sae", "--seed"): {"0"},
}
"""Of `ABSURD` what is no nonsense."""


def commands() -> dict[str, argparse.ArgumentParser]:
    (made,) = (one for one in _parser()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(made.choices)


def numeric() -> list[tuple[str, str]]:
    """Every number a command takes: the command and the option, or the positional's name."""
    found = []
    for command, parser in commands().items():
        for action in parser._actions:
            if action.type is int or getattr(action.type, "__name__", "") in (
                "whole number", "number", "float",
            ):  # fmt: skip
                found.append((command, (action.option_strings or [action.dest])[0]))
    return found


def with_out() -> list[str]:
    return [name for name, parser in commands().items() if "--out" in parser._option_string_actions]


def needed(command: str, tmp_path: Path) -> list[str]:
    words = list(NEEDED.get(command, []))
    if command == "train-meta":
        formats.save(random_sae(6, 12, k=2), tmp_path / "sae")
        words += ["--sae", str(tmp_path / "sae")]
    if command in ("train-meta", "train-sae", "export"):
        words += ["--out", str(tmp_path / "made")]
    return words


def test_every_command_with_numbers_is_tried() -> None:
    assert {command for command, _ in numeric()} == {
        "steer", "search", "graph", "decompose", "latents", "describe", "train-meta", "train-sae",
        "study", "ravel", "export", "score-labels", "workbench",
    }  # fmt: skip
    assert set(with_out()) == {
        "build", "describe", "doctor", "export", "graph", "ravel", "score-labels", "search",
        "study", "train-meta", "train-sae",
    }  # fmt: skip


BOUNDED = [
    (command, option)
    for command, option in numeric()
    if option != "latent" and (command, option) not in {
        (name, "--width")
        for name in ("decompose", "latents", "describe", "export", "score-labels")
    }
]  # fmt: skip
"""Those whose bounds do not depend on what is open: refused before it is opened."""


@pytest.mark.parametrize(("command", "option"), BOUNDED, ids=map(" ".join, BOUNDED))
def test_an_absurd_number_is_refused_before_anything_begins(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, option: str
) -> None:
    for value in ABSURD:
        if value in TAKEN.get((command, option), ()):
            continue
        line = refused(capsys, [command, *needed(command, tmp_path), f"{option}={value}"])
        named = {"--depth": "steps", "--top": "of each meta-latent"}.get(option, option)
        assert option in line or named in line, (value, line)


OPENED = [one for one in numeric() if one not in BOUNDED]


@pytest.mark.parametrize(("command", "option"), OPENED, ids=map(" ".join, OPENED))
def test_a_number_that_nothing_here_has_is_refused(
    opened: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    option: str,
) -> None:
    monkeypatch.setattr(
        "metasae.explorer.gathering.gather_evidence", lambda *_: pytest.fail("work began")
    )
    for value in ABSURD:
        if value in TAKEN.get((command, option), ()):
            continue
        if option == "latent":
            refused(capsys, [command, value])
        else:
            refused(capsys, [command, *needed(command, tmp_path), f"{option}={value}"])


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--depth", "1000000", "1 to 8 steps"),
        ("--top", "1000000", "latents of each meta-latent"),
        ("--top", "-1", "latents of each meta-latent"),
    ],
)
def test_a_graph_nobody_could_wait_for_is_refused(
    closed: None, capsys: pytest.CaptureFixture[str], option: str, value: str, text: str
) -> None:
    assert text in refused(capsys, ["graph", "5", option, value])


LISTS = ("--remove", "--add", "--source-latents", "--target-latents")


@pytest.mark.parametrize(
    ("option", "value"), list(itertools.product(LISTS, ("-1", "1e3", "9" * 30)))
)
def test_lists_of_numbers_are_refused_in_a_sentence(
    opened: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
) -> None:
    refused(capsys, ["steer", *NEEDED["steer"], f"{option}={value}"])


@pytest.mark.parametrize("value", ["nan", "inf", "-9", "1e400", "x", "1,nan", "", ","])
def test_strengths_are_refused_in_a_sentence(
    closed: None, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert "strength" in refused(capsys, ["search", *NEEDED["search"], f"--strengths={value}"])


@pytest.mark.parametrize("command", with_out())
def test_a_place_nobody_can_write_is_said_before_anything_begins(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "file.json").write_text("")
    (tmp_path / "folder.json").mkdir()
    wants_file = command in ("doctor", "graph", "search")
    for out in (
        tmp_path / "file.json" / "below.json",
        tmp_path / ("x" * 300 + ".json"),
        Path("/proc/nowhere/x.json"),
        tmp_path / ("folder.json" if wants_file else "file.json"),
    ):
        words = [word for word in needed(command, tmp_path) if word != str(tmp_path / "made")]
        words = [word for word in words if word != "--out"]
        line = refused(capsys, [command, *words, "--out", str(out)])
        assert str(out) in line
    assert (tmp_path / "file.json").read_text() == ""
    assert list((tmp_path / "folder.json").iterdir()) == []


@pytest.mark.parametrize("command", ["describe", "build", "study", "ravel"])
def test_a_folder_of_other_files_is_said_before_anything_begins(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """Also one that holds a result beside them."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("kept")
    for name in ("labels.json", "report.json", "result.json"):
        (tmp_path / "made" / name).write_text("{}")
    words = [word for word in needed(command, tmp_path) if word != "--out"]
    out = str(tmp_path / "made")
    said = refused(capsys, [command, *[one for one in words if one != out], "--out", out])
    assert "holds other files" in said and out in said
    assert (tmp_path / "made" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("command", ["train-meta", "train-sae"])
def test_a_folder_that_holds_something_is_said_before_anything_begins(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("kept")
    assert "holds something already" in refused(capsys, [command, *needed(command, tmp_path)])
    assert (tmp_path / "made" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--width", "1000000000"], "fewer than the 1,000,000,000 latents"),
        (["--width", "600000"], "500,000 tokens are to be read"),
        (["--tokens", "1"], "1 tokens are to be read"),
        (["--k", "1000000000"], "k is 1,000,000,000, more than"),
    ],
)
def test_an_sae_its_text_can_not_fill_is_refused_before_the_text_is_read(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], text: str
) -> None:
    assert text in refused(capsys, ["train-sae", *needed("train-sae", tmp_path), *words])


@pytest.mark.parametrize("words", [["--width", "1000000000"], ["--k", "1000000000"]])
def test_a_meta_sae_its_directions_can_not_fill_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    refused(capsys, ["train-meta", *needed("train-meta", tmp_path), *words])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("command", ["cities", "fetch", "info", "build", "train-sae"])
def test_the_home_of_somebody_unknown_is_said(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    words = [command, *needed(command, tmp_path)]
    assert "home folder" in refused(capsys, [*words, "--preset", "~nouser/x.json"])


def test_a_cache_in_the_home_of_somebody_unknown_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "~nouser/cache")
    assert "~nouser/cache" in refused(capsys, ["info", "--preset", "nothing"])
