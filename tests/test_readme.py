"""The README's and the site's examples: the Python runs, and commands are ones the parser knows."""

import re
import shlex
from pathlib import Path

import pytest

import metasae
from docs.handbook.command_line import commands
from metasae.cli.main import _parser
from metasae.lab.lab import Lab
from metasae.lab.preset_files import REPORT, folder_of
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED
from metasae.steering.certainty import CLEAR
from metasae.steering.edits import LatentSwap

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = [README, *(path.read_text("utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))]
COMMANDS = [
    command.strip()
    for text in WRITTEN
    for command in re.findall(r"python -m metasae ([^`\n#]+)", text)
]
MEASURED = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")


@pytest.mark.long
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


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def patterns_on_the_page() -> list[tuple[str, str]]:
    """Margin and sentence of each row of the opening pair's table."""
    part = MEASURED.partition("| margin (nats) | what the edit did |\n|---|---|\n")[2]
    rows = part.partition("\n\n")[0].splitlines()
    return [(margin, said) for margin, said in (row.strip("| ").split(" | ") for row in rows)]


def test_the_patterns_of_the_opening_pair_are_the_reports() -> None:
    report = read_json(folder_of(EMBEDDED) / REPORT)["opening"]
    stated = [(f"{one['margin']:.2f}", one["sentence"]) for one in report["patterns"]]
    assert patterns_on_the_page() == stated and len(stated) > 4
    pair = f"{report['source']}→{report['target']}"
    (above,) = [line for line in MEASURED.splitlines() if line.startswith("The clearest edit of ")]
    assert pair in above and f"{report['combinations']:,} combinations" in above
    assert f"more than {report['clear_nats']:g} nats" in above


@pytest.mark.long
def test_the_patterns_of_the_opening_pair_are_the_pages(lab: Lab) -> None:
    """What "Best edits" and Enumerate find on this machine."""
    source, target = lab.opening
    experiment = lab.experiment(lab.subject(source), lab.subject(target))
    combinations = Combinations.of(experiment)
    clear = [one for one in search(experiment, combinations) if one.margin > CLEAR]
    found = [(one.margin, one.sentence) for one in clear]
    stated = patterns_on_the_page()
    assert [sentence for _, sentence in found] == [sentence for _, sentence in stated]
    for (margin, _), (said, _) in zip(found, stated, strict=True):
        assert margin == pytest.approx(float(said), abs=0.006)
    above = next(line for line in MEASURED.splitlines() if line.startswith("The clearest edit of "))
    assert f"{len(combinations):,} combinations" in above


@pytest.mark.parametrize("words", sorted(set(COMMANDS)))
def test_a_command_is_one_the_parser_knows(words: str) -> None:
    given = [{"N": "12"}.get(word, word) for word in shlex.split(words)]
    assert callable(_parser().parse_args(given).run)


def test_every_command_is_shown() -> None:
    shown = {command.split()[0] for command in COMMANDS}
    assert shown == {name for name, _ in commands()}
