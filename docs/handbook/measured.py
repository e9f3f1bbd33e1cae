"""The pages of measured figures, each read from what was measured.

    python -m docs.handbook.measured

writes these pages in ``docs/`` (`PAGES`) from the templates of that name beside this module: of the
report and the labels' scores that ship, and of the benchmarks' records
(``benchmarks/results/``, a JSON file a run). Tests hold the pages to them.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from docs.handbook.sentences import ROOT
from metasae.lab.preset_files import REPORT, folder_of
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED

DOCS = ROOT / "docs"

LABELS = ROOT / "metasae" / "data" / "evidence" / EMBEDDED.name / "labels.json"

RESULTS = ROOT / "benchmarks" / "results"


def quality() -> str:
    """How good the shipped default is, as Markdown."""
    report = read_json(folder_of(EMBEDDED) / REPORT)
    return _rendered("quality", r=report, labels=read_json(LABELS), written=_written(report))


def speed() -> str:
    """How fast the workbench is beside its peers, as Markdown."""
    return _rendered("speed", latest=_latest)


def label_scores() -> str:
    """How labels are scored, and what judges whose rules are known say of the shipped ones."""
    return _rendered("label-scores", latest=_latest)


PAGES = {"quality.md": quality, "speed.md": speed, "label-scores.md": label_scores}
"""Page in ``docs/`` → what makes it."""


def _latest(benchmark: str, words: str = "") -> dict[str, Any]:
    """The figures of the last run of a benchmark that was kept.

    Args:
        words: it was run with.
    """
    # Named by day and number.
    records = map(read_json, sorted(RESULTS.glob(f"*-{benchmark}-*.json"), key=_order))
    found = [one["figures"] for one in records if one["words"] == words]
    return dict(found[-1])


def _order(record: Path) -> tuple[str, int]:
    begin, _, number = record.stem.rpartition("-")
    return begin, int(number)


def _rendered(page: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "plain": lambda value: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}",
        "two": lambda value: f"{value:.2f}",
        "three": lambda value: f"{value:.3f}",
        "one": lambda value: f"{value:.1f}",
        "whole": lambda value: f"{value:,.0f}",
        "percent": lambda value: f"{100 * value:.0f} %",
        "counted": _counted,
        "range": lambda pair: f"{pair[0]:.2f} to {pair[1]:.2f}",
        "interval": lambda one: f"{one['share']:.2f} ({one['low']:.2f} to {one['high']:.2f})",
        "at_least": lambda value, aim: str(aim) if value >= aim else f"{aim}, **missed**",
        "at_most": lambda value, aim: str(aim) if value <= aim else f"{aim}, **missed**",
    }
    return environment.get_template(f"{page}.md.jinja").render(**values)


def _counted(one: dict[str, Any]) -> str:
    """A share with what was counted and its interval."""
    return (
        f"{one['count']:,} of {one['of']:,}, {one['share']:.2f} "
        f"({one['low']:.2f} to {one['high']:.2f})"
    )


def _written(report: dict[str, Any]) -> dict[str, Any]:
    """How much of the training text are sentences that this project wrote for it."""
    from metasae.text.documents import is_written

    text = report["text"]
    own = [one for source, one in text.items() if is_written(source)]
    every = list(text.values())
    return {
        "documents": sum(one["documents"] for one in own),
        "all_documents": sum(one["documents"] + one["held_out_documents"] for one in every),
        "share": sum(one["tokens"] for one in own)
        / sum(one["tokens"] + one["held_out_tokens"] for one in every),
    }


if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), "utf-8")
