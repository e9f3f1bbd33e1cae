"""The command that checks the post's worked examples, on planted ones."""

import json

import pytest

from metasae import cli
from metasae.cli import exploring
from metasae.release import post_examples
from tests.post_figures import SMALL, planted_explorer


def test_the_examples_are_told_as_text_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explorer = planted_explorer(monkeypatch)
    monkeypatch.setitem(post_examples.OF_PRESET, "gpt2-small", SMALL)
    monkeypatch.setattr(exploring, "opened_explorer", lambda _: explorer)
    assert cli.main(["examples", "--preset", "gpt2-small", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert cli.main(["examples", "--preset", "gpt2-small"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "agrees   Latent 0, nearest in its SAE (cosine): published 0.50, 0.49, 0.47, found "
        "0.50, 0.49, 0.47"
    )
    assert [line.split()[0] for line in lines] == ["agrees"] * 6 + ["DIFFERS"] * 2
    for line, one in zip(lines, checks, strict=True):
        assert line.endswith(f"{one['name']}: published {one['published']}, found {one['found']}")


def test_a_preset_without_examples_is_refused_before_it_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["examples"]) == 1
    assert "gpt2-small" in capsys.readouterr().err
