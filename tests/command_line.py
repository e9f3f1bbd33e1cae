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


def refused(
    capsys: pytest.CaptureFixture[str], words: Sequence[str], codes: Sequence[int] = (1,)
) -> str:
    """The sentence bad words are refused with, on standard error only.

    Args:
        codes: exit codes it may end with. With 2, the parser's own, its usage stands above.
    """
    capsys.readouterr()
    code: object
    try:
        code = cli.main(words)
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr()
    assert code in codes and said.out == "" and "Traceback" not in said.err
    *above, sentence = said.err.splitlines()
    if code == 1:
        assert not above and sentence.startswith("metasae: ") and sentence[-1] in ".?"
    return sentence
