"""How good the shipped default is, as a page: every figure is read from what was measured.

    python -m handbook.quality

writes ``docs/quality.md`` from ``quality.md.jinja``, the report and the labels' scores that ship;
a test holds the page to them.
"""

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from handbook.sentences import ROOT
from metasae.lab.preset_files import REPORT, folder_of
from metasae.sources.files import read_json
from metasae.sources.presets import EMBEDDED

PAGE = ROOT / "docs" / "quality.md"

LABELS = ROOT / "metasae" / "data" / "evidence" / EMBEDDED.name / "labels.json"


def page() -> str:
    """The page, as Markdown."""
    environment = Environment(
        loader=FileSystemLoader(ROOT / "handbook"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
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
    report = read_json(folder_of(EMBEDDED) / REPORT)
    template = environment.get_template("quality.md.jinja")
    return template.render(r=report, labels=read_json(LABELS), written=_written(report))


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
    PAGE.write_text(page(), "utf-8")
