"""The history of the benchmarks: a JSON file a run in results/, docs/benchmarks.md made of them.

    python -m benchmarks.search --json | python -m benchmarks.history --add "search"
    python -m benchmarks.history

With ``--add`` what a benchmark printed is kept with its words, today, the commit and the machine;
the page is then written anew.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import cells, written
from metasae.errors import UserError
from metasae.sources.files import json_values, read_json, write_json
from metasae.sources.records import from_values, to_values

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md"

SHOWN: dict[str, dict[str, str]] = {
    "search": {
        "combinations_per_s": "combinations a second, fp32",
        "ratio_exact_best": "ratio to the best peer",
        "ratio_exact_best_at_peak": "… at peak",
        "combinations_per_s_screened": "combinations a second, screened",
        "ratio_screened_best": "ratio to the best peer",
        "ratio_screened_best_at_peak": "… at peak",
        "growth": "by number of combinations",
    },
    "toggle": {
        "p50_ms": "ms, median",
        "p95_ms": "ms, 95th percentile",
        "ratio_full_pass_best": "ratio to the best peer",
        "ratio_full_pass_best_at_peak": "… at peak",
        "ratio_full_pass": "ratio to a pass a prompt",
    },
    "interaction": {
        "p50_ms": "ms, median",
        "p95_ms": "ms, 95th percentile",
        "model_p50_ms": "of it the model",
        "server_cpu_ms_per_toggle": "ms of the server's processor",
        "toggles": "clicks",
        "memory": "MB the server holds",
    },
    "train": {
        "step_ours_s": "s a step",
        "ratio_step_best": "ratio to the best peer",
        "ratio_step_best_at_peak": "… at peak",
        "ratio_step": "ratio to SAELens as it comes",
        "ratio_total": "ratio of whole trainings",
        "fve_ours": "variance explained",
        "fve_saelens": "… by SAELens",
        "scaling": "by number of directions",
    },
    "estimate": {
        "pairs": "pairs",
        "recall_pairs": "pairs with all patterns found",
        "patterns": "patterns",
        "recall_patterns": "patterns found",
        "evaluations_share": "combinations scored",
        "time_ratio": "times faster than scoring all",
    },
    "explore": {
        "page_default_p50_ms": "a page: ms, median",
        "page_default_p95_ms": "95th percentile",
        "page_large_p50_ms": "of 49,152 latents: median",
        "page_large_p95_ms": "95th percentile",
        "search_ms": "ms a search",
        "ratio_evidence": "evidence: times the bare pass's speed",
    },
    "ravel": {
        "evaluations_s": "evaluations a second",
        "ratio_best_transformer_lens": "ratio to TransformerLens",
        "ratio_best": "ratio to the best peer",
    },
    "studies": {"pursuit": "matching pursuit", "graphs": "the two graphs"},
    "classroom": {
        "p50_ms": "ms, median",
        "p95_ms": "ms, 95th percentile",
        "errors": "errors",
        "toggles": "toggles",
        "server_cpu_ms_per_toggle": "ms of the server's processor",
    },
    "first_edit": {
        "total_s": "s, all steps",
        "steps": "step by step",
        "environment_mb": "MB, environment",
        "cache_mb": "MB, cache",
    },
    "label_scores": {
        "drawn": "latents drawn",
        "scored": "scored",
        "questions": "questions",
        "own_f1": "our own F1 of their labels",
    },
}
"""Benchmark → its figures that the page shows, in what words; the files hold all."""


@dataclass(frozen=True)
class Record:
    """One run of a benchmark.

    Attributes:
        benchmark: the module's name, a key of `SHOWN`.
        words: it was called with.
        date: in ISO 8601.
        commit: of the code; "-changed" behind it where files differed from it.
        machine: what it ran on; "not recorded" where nobody wrote it down.
        figures: as it printed them.
        note: what has to be said of it.
    """

    benchmark: str
    words: str
    date: str
    commit: str
    machine: str
    figures: dict[str, Any]
    note: str = ""


def machine() -> str:
    """This machine's processor and how many cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def commit() -> str:
    """The commit that is checked out; "unknown" in a copy that is no checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def record(command: str, printed: str) -> Record:
    """What a benchmark printed with ``--json`` just now.

    Args:
        command: the benchmark's name and its words.

    Raises:
        UserError: when there is no such benchmark, or it is no JSON object.
    """
    name, _, words = command.strip().partition(" ")
    if name not in SHOWN:
        raise UserError(f'There is no benchmark "{name}"; name one of {", ".join(SHOWN)}.')
    try:
        figures = json_values(printed)
    except ValueError as error:
        raise UserError("This is no JSON; run the benchmark with --json.") from error
    if not isinstance(figures, dict):
        raise UserError("This is no JSON object; run the benchmark with --json.")
    today = datetime.now(UTC).date().isoformat()
    return Record(name, words.strip(), today, commit(), machine(), figures)


def keep(made: Record, folder: Path = RESULTS) -> Path:
    """Write a record under a name that none has."""
    stem = f"{made.date}-{made.benchmark}"
    number = len(list(folder.glob(f"{stem}-*.json"))) + 1
    path = folder / f"{stem}-{number}.json"
    write_json(path, to_values(made))
    return path


def records(folder: Path = RESULTS) -> list[Record]:
    """All runs, the first first."""
    found = [from_values(Record, read_json(path)) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda one: one.date)


def page(runs: Sequence[Record]) -> str:
    """The history as Markdown: a section a benchmark, a line a run."""
    notes = list(dict.fromkeys(one.note for one in runs if one.note))
    parts = [
        "# Benchmarks, run by run\n\n"
        "Made by `python -m benchmarks.history` of the files in `benchmarks/results/`, a run each. "
        "They hold more figures than are shown here; the module's first lines say how to add one. "
        "What a figure means, and the peers it is compared with, stand in speed.md and in each "
        "benchmark's first lines. What ran on different machines can be compared in its ratios at "
        "most.\n"
    ]
    for name, shown in SHOWN.items():
        mine = [one for one in runs if one.benchmark == name]
        said = [key for key in shown if any(key in one.figures for one in mine)]
        rows = [["date", "commit", "machine", "words", *(shown[key] for key in said)]]
        rows.append(["---"] * len(rows[0]))
        for one in mine:
            mark = f" ({notes.index(one.note) + 1})" if one.note else ""
            place = [one.date, f"{one.commit}{mark}", one.machine, one.words and f"`{one.words}`"]
            rows.append([*place, *(_cell(one.figures.get(key)) for key in said)])
        if mine:
            table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
            parts.append(f"## `python -m benchmarks.{name}`\n\n{table}\n")
    parts += [f"({number}) {note}\n" for number, note in enumerate(notes, 1)]
    return "\n".join(parts)


def _cell(value: object) -> str:
    """A figure; of several measurements each; a dash where it was not measured."""
    if isinstance(value, list):
        return "; ".join(map(_cell, value))
    if isinstance(value, Mapping):
        return cells(value).replace("  ", ", ")
    return "–" if value is None else written(value)


def main() -> None:
    """Keep what a benchmark printed, if that is asked for, and write the page."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--add", metavar="BENCHMARK", help="keep what it printed, from the input")
    arguments = words.parse_args()
    try:
        if arguments.add:
            sys.stdout.write(f"{keep(record(arguments.add, sys.stdin.read()))}\n")
        PAGE.write_text(page(records()), "utf-8")
    except UserError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
