"""What a citation says, and its Python: it passes on the cited numbers and fails on others."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from metasae.lab.lab import Lab
from metasae.sources.presets import Preset
from metasae.steering.citation import TOLERANCE, Citation
from metasae.steering.edits import EditOptions, LatentSwap
from metasae.steering.experiment import Experiment
from metasae.steering.outcome import Outcome
from metasae.steering.provenance import Weights
from metasae.version import RELEASED, __version__

ROOT = Path(__file__).parents[3]

HASHES = Weights(model="a" * 64, sae="b" * 64, meta_sae="c" * 64)

LINK = "http://localhost:8501/?v=1&source=Tokyo&target=Paris&edit=swap~all"


def swapped(lab: Lab) -> Outcome:
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    return experiment.apply(LatentSwap(options=EditOptions(position="all")))


@pytest.fixture
def cited(small_lab: Lab) -> Citation:
    return Citation(swapped(small_lab), HASHES, LINK)


def test_it_says_where_it_is_found_and_what_it_came_from(cited: Citation) -> None:
    values, text = cited.to_dict(), cited.text()
    assert values["link"] == LINK and values["released"] == RELEASED
    assert values["weights_sha256"] == {"model": "a" * 64, "sae": "b" * 64, "meta_sae": "c" * 64}
    asked = {one.attribute: one.prompt for one in cited.outcome.questions}
    assert values["prompts"] == asked and len(asked) == 4
    for part in (LINK, "a" * 64, "b" * 64, "c" * 64, *asked.values(), cited.bibtex, cited.snippet):
        assert part in text
    assert f"metasae {__version__} of {RELEASED}" in text


def test_bibtex_names_this_software_and_the_post(cited: Citation) -> None:
    entries = re.findall(r"^@misc\{(\w+),$(.*?)^\}$", cited.bibtex, flags=re.DOTALL | re.MULTILINE)
    (mine, software), (theirs, post) = entries
    assert (mine, theirs) == ("metasae_workbench", "bussmann2024metasaes")
    assert f"version {__version__} of {RELEASED}" in software
    assert all(one in software for one in ("a" * 64, "b" * 64, "c" * 64, RELEASED[:4]))
    assert "Showing {SAE} Latents Are Not Atomic Using Meta-{SAEs}" in post
    assert "Bussmann, Bart and Pearce, Michael and Leask, Patrick" in post
    # Braces are in pairs, so that BibTeX reads on behind them.
    assert cited.bibtex.count("{") == cited.bibtex.count("}")


def test_a_models_name_is_no_command_of_latex(cited: Citation) -> None:
    named = replace(cited.outcome.provenance, model="my_model & 100%")
    other = replace(cited, outcome=replace(cited.outcome, provenance=named))
    assert r"my\_model \& 100\%" in other.bibtex


def run(snippet: str, lab: Lab, patch: pytest.MonkeyPatch) -> list[Preset]:
    """Run it in this process, where ``lab`` is what opens."""
    opened: list[Preset] = []

    def opening(preset: Preset) -> Lab:
        opened.append(preset)
        return lab

    patch.setattr("metasae.lab.lab.open_lab", opening)
    patch.setattr("metasae.sources.user_presets.find_preset", lambda name: lab.preset)
    patch.setitem(lab.__dict__, "weights", HASHES)
    exec(snippet, {})
    return opened


def test_the_snippet_prints_the_whole_table(
    cited: Citation,
    small_lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(cited.snippet, small_lab, monkeypatch) == [small_lab.preset]
    said = capsys.readouterr().out
    table = cited.outcome.answers
    assert said.startswith(table.to_string() + "\n") and "..." not in said
    assert f"All {2 * len(table)} numbers are the cited ones, to 0.001 nats." in said


def numbers(snippet: str) -> list[str]:
    """The lines of the numbers."""
    return re.findall(r"^    \('\w+', .*\),$", snippet, flags=re.MULTILINE)


@pytest.mark.parametrize("which", ["before", "after", "answer", "hash", "missing"])
def test_a_change_makes_the_snippet_fail(
    which: str, cited: Citation, small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = numbers(cited.snippet)
    assert len(lines) == len(cited.outcome.answers)
    line = lines[-1]
    found = re.fullmatch(r"    \('(\w+)', '(.*)', (\S+), (\S+)\),", line)
    assert found is not None
    attribute, answer, before, after = found.groups()
    off = 1.5 * TOLERANCE
    changed = {
        "before": (line, f"    ({attribute!r}, {answer!r}, {float(before) + off}, {after}),"),
        "after": (line, f"    ({attribute!r}, {answer!r}, {before}, {float(after) - off}),"),
        "answer": (line, f"    ({attribute!r}, 'Atlantis', {before}, {after}),"),
        "hash": ("b" * 64, "b" * 63 + "0"),
        "missing": (line + "\n", ""),
    }[which]
    snippet = cited.snippet.replace(*changed)
    assert snippet != cited.snippet
    with pytest.raises(ValueError if which == "missing" else AssertionError):
        run(snippet, small_lab, monkeypatch)


def test_numbers_that_differ_by_less_than_it_allows_pass(
    cited: Citation, small_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = replace(cited.outcome, logprobs=cited.outcome.logprobs + 0.5 * TOLERANCE)
    run(replace(cited, outcome=near).snippet, small_lab, monkeypatch)


def own_process(snippet: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    file = folder / "snippet.py"
    file.write_text(snippet, "utf-8")
    return subprocess.run(
        [sys.executable, str(file)], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=250,
    )  # fmt: skip


@pytest.mark.long
def test_in_a_process_of_its_own_it_passes_and_with_another_number_it_fails(
    lab: Lab, tokyo_paris: Experiment, tmp_path: Path
) -> None:
    outcome = tokyo_paris.apply(LatentSwap())
    snippet = Citation(outcome, lab.weights, LINK).snippet
    done = own_process(snippet, tmp_path)
    assert done.returncode == 0, done.stderr
    # The last digits are this process's own; every row and column is there.
    table = done.stdout.splitlines()[: len(outcome.answers) + 1]
    assert table[0].split() == list(outcome.answers.columns)
    for line, row in zip(table[1:], outcome.answers.to_dict("records"), strict=True):
        assert row["prompt"] in line and f" {row['answer']} " in line
    assert done.stdout.endswith(f"All {2 * len(outcome.answers)} numbers are the cited ones, to "
                                "0.001 nats.\n")  # fmt: skip
    line = numbers(snippet)[0]
    number = re.findall(r"-?\d+\.\d+", line)[-1]
    wrong = line.replace(number, str(float(number) + 0.01))
    failed = own_process(snippet.replace(line, wrong), tmp_path)
    assert failed.returncode != 0 and "AssertionError" in failed.stderr
