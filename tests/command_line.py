"""The command line as tests call it: what a command prints, and how it refuses."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from metasae import cli


def _not_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def parsed(text: str) -> Any:
    """The one JSON object, strictly: no NaN, no Infinity, nothing beside it."""
    values = json.loads(text, parse_constant=_not_json)
    assert isinstance(values, dict)
    return values


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command prints with ``--json``."""
    capsys.readouterr()
    code = cli.main([*words, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return parsed(said.out)


def refused(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> str:
    """What is said of bad words: one line, on standard error only."""
    capsys.readouterr()
    assert cli.main(words) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("metasae: ") and "Traceback" not in said.err
    return said.err
