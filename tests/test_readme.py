"""The README's examples: its Python runs, and its commands are ones the parser knows."""

import re
import shlex
from pathlib import Path

import pytest

import metasae
from metasae.cli.main import _parser
from metasae.lab.lab import Lab
from metasae.steering.edits import LatentSwap

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"python -m metasae ([^`\n#]+)", README)


@pytest.mark.slow
def test_the_python_example_runs(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(metasae, "open_lab", lambda: lab)
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(example, {})
    lines = capsys.readouterr().out.splitlines()
    source, target = lab.opening
    swapped = lab.experiment(lab.subject(source), lab.subject(target)).apply(LatentSwap())
    assert lines[0] == swapped.sentence
    patterns = [line for line in lines[1:] if line.startswith(f"{source} ")]
    assert patterns[0].startswith(f"{source} is unchanged") and len(patterns) > 2


@pytest.mark.parametrize("words", sorted({command.strip() for command in COMMANDS}))
def test_a_command_is_one_the_parser_knows(words: str) -> None:
    assert callable(_parser().parse_args(shlex.split(words)).run)


def test_every_command_is_shown() -> None:
    shown = {command.split()[0] for command in COMMANDS}
    assert len(COMMANDS) > 15 and {"steer", "search", "train-meta"} <= shown
