"""The history of the benchmarks: what is kept of a run, and the page made of all."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import history
from benchmarks.history import PAGE, SHOWN, Record
from metasae.errors import UserError

RUN = Record("toggle", "", "2026-01-02", "abc1234", "a machine", {"p50_ms": 21.504, "repeats": 9})


def test_the_page_is_that_of_the_results() -> None:
    made = history.page(history.records())
    assert PAGE.read_text("utf-8") == made, "write it anew: python -m benchmarks.history"


def test_every_benchmark_is_there() -> None:
    assert [name for name in SHOWN if find_spec(f"benchmarks.{name}") is None] == []


def test_a_line_a_run_with_the_figures_that_some_run_has() -> None:
    other = replace(RUN, date="2026-01-03", figures={"p95_ms": 30}, note="Of another kind.")
    third = replace(
        other, benchmark="train", words="--scaling", note="Long ago.",
        figures={"scaling": [{"rows": 3, "step_s": 0.25}, {"rows": 6, "step_s": None}]},
    )  # fmt: skip
    assert history.page([RUN, other, third]).partition("\n\n## ")[2] == (
        "`python -m benchmarks.toggle`\n\n"
        "| date | commit | machine | words | ms, median | ms, 95th percentile |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 2026-01-02 | abc1234 | a machine |  | 21.5 | – |\n"
        "| 2026-01-03 | abc1234 (1) | a machine |  | – | 30 |\n\n"
        "## `python -m benchmarks.train`\n\n"
        "| date | commit | machine | words | by number of directions |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| 2026-01-03 | abc1234 (2) | a machine | `--scaling` | rows 3, step_s 0.25; rows 6 |\n\n"
        "(1) Of another kind.\n\n(2) Long ago.\n"
    )


def test_what_was_printed_is_kept_with_where_and_when(tmp_path: Path) -> None:
    made = history.record("train --steps 5", json.dumps({"ratio_step": 2.0, "steps_s": {"a": 1}}))
    assert (made.benchmark, made.words) == ("train", "--steps 5")
    assert made.machine and made.commit and made.date > "2026"
    paths = [history.keep(made, tmp_path), history.keep(made, tmp_path)]
    assert len(set(paths)) == 2 and history.records(tmp_path) == [made, made]
    history.keep(RUN, tmp_path)
    assert history.records(tmp_path) == [RUN, made, made]


@pytest.mark.parametrize(
    ("command", "printed", "said"),
    [
        ("nonsense", "{}", "no benchmark"),
        ("", "{}", "no benchmark"),
        ("toggle", "p50_ms  22", "--json"),
        ("toggle", "[]", "--json"),
    ],
)
def test_what_is_no_run_is_refused(command: str, printed: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        history.record(command, printed)


def test_a_copy_that_is_no_checkout_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert history.commit() == "unknown"
