"""How a benchmark prints what it measured: as one JSON object, or in lines to read."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from metasae.sources.files import json_text


def parser(purpose: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark's words, with --quick and --json."""
    made = argparse.ArgumentParser(description=purpose)
    made.add_argument("--quick", action="store_true", help="less of it, ends within about 45 s")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def percentile(values: Iterable[float], share: float) -> float:
    """The value that a share (0 to 1) of some values is below; the largest at 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def print_figures(
    figures: Mapping[str, Any], as_json: bool, lines: Iterable[str] | None = None
) -> None:
    """Print figures.

    Args:
        lines: what is printed otherwise than as JSON; a figure each when left out.
    """
    if as_json:
        lines = [json_text(figures)]
    elif lines is None:
        width = max(map(len, figures))
        lines = (f"{name:>{width}}  {written(value)}" for name, value in figures.items())
    for line in lines:
        sys.stdout.write(line + "\n")


def cells(row: Mapping[str, Any]) -> str:
    """A row of a table of figures as a line; those nobody measured are left out."""
    return "  ".join(f"{name} {written(value)}" for name, value in row.items() if value is not None)


def written(value: object) -> str:
    """A figure with four digits; anything else as it is."""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
