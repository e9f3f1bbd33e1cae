"""The tutorials do what they show: their Python and commands run, and say what stands there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import metasae
from metasae import cli
from metasae.lab.lab import Lab

DOCS = Path(__file__).parents[2] / "docs"

NUMBER = re.compile(r"-?\d+\.\d+|\d+(?= %)")
"""What another machine may round otherwise: not the numbers of latents."""

NEAR = 0.03
"""How far a log-probability may be from the one that is shown; a percentage one percent."""


def examples(page: str, language: str) -> Iterator[tuple[str, str]]:
    """Blocks of a page in a language, each with what is shown after it; empty where nothing is."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    for (kind, text), (after, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == language:
            yield text, shown if after == "text" else ""


def alike(shown: str, said: str) -> bool:
    """Whether two lines have the same words and nearly the same numbers."""
    words = [" ".join(NUMBER.sub("0", text).split()) for text in (shown, said)]
    numbers = [NUMBER.findall(text) for text in (shown, said)]
    return words[0] == words[1] and all(
        abs(float(one) - float(other)) <= (NEAR if "." in one else 1)
        for one, other in zip(*numbers, strict=True)
    )


def held(shown: str, said: str) -> None:
    """Fail unless a text is what is shown; a line "…" stands for any lines."""
    lines, place, skipping = said.strip("\n").splitlines(), 0, False
    for expected in shown.strip("\n").splitlines():
        if expected == "…":
            skipping = True
            continue
        while skipping and place < len(lines) and not alike(expected, lines[place]):
            place += 1
        assert place < len(lines) and alike(expected, lines[place]), (expected, lines[place:][:3])
        place, skipping = place + 1, False
    assert skipping or place == len(lines), lines[place:]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorials/python.md", "howto/own-attribute.md"])
def test_the_python_says_what_is_shown(
    page: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metasae, "open_lab", lambda: lab)
    names: dict[str, object] = {}
    run = 0
    for code, shown in examples(page, "python"):
        capsys.readouterr()
        exec(code, names)
        held(shown, capsys.readouterr().out)
        run += 1
    assert run


@pytest.mark.slow
def test_the_commands_say_what_is_shown(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    run = 0
    for block, shown in examples("tutorials/command-line.md", "bash"):
        for command in block.strip().splitlines():
            _, _, *words = shlex.split(command)[1:]
            capsys.readouterr()
            assert cli.main(words) == 0
            said = capsys.readouterr().out
            if shown:
                held(shown, said)
            assert said
            run += 1
    assert run > 4


@pytest.mark.parametrize(
    ("shown", "said", "fits"),
    [
        ("a 0.50\nb", "a 0.51\nb", True),
        ("a 0.50", "a 0.60", False),
        ("a 20 %", "a 21 %", True),
        ("a 20 %", "a 22 %", False),
        ("latent 20", "latent 21", False),
        ("a", "a\nb", False),
        ("a\n…", "a\nb", True),
        ("…\nb", "a\nb", True),
        ("…\nb", "a\nc", False),
        ("a  -1.00", "a -1.00", True),
    ],
)
def test_what_counts_as_said(shown: str, said: str, fits: bool) -> None:
    if fits:
        held(shown, said)
    else:
        with pytest.raises(AssertionError):
            held(shown, said)
