"""The notebooks as pages: what stands in their files, without running them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.handbook.sentences import ROOT

FOLDER = ROOT / "notebooks"


@dataclass(frozen=True)
class NotebookPage:
    """A notebook as a page.

    Attributes:
        name: of its file, without the ending.
        title: its first heading.
        text: as Markdown.
    """

    name: str
    title: str
    text: str


def pages(folder: Path = FOLDER) -> list[NotebookPage]:
    """All notebooks, by name; none where there is no such folder."""
    return [page(path) for path in sorted(folder.glob("*.ipynb"))]


def page(path: Path) -> NotebookPage:
    """One notebook as a page."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n\n".join(part for cell in cells for part in _parts(cell))
    heading = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    title = heading[1].strip() if heading else path.stem.replace("_", " ")
    where = f"*A notebook: `notebooks/{path.name}`, to run and change; here is what it says.*"
    return NotebookPage(path.stem, title, f"{text}\n\n---\n\n{where}\n")


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
    elif cell["cell_type"] == "code" and source.strip():
        yield _fenced(source, "python")
        for output in cell.get("outputs", ()):
            yield from _shown(output)


def _shown(output: dict[str, Any]) -> Iterator[str]:
    """What a cell gave: text, and pictures as they are; no HTML, whose scripts a browser would
    fetch from elsewhere."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        yield f"![What the cell above drew](data:image/png;base64,{picture})"
    elif text := "".join(data.get("text/plain", "")).strip("\n"):
        yield _fenced(text, "text")


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
