"""The way from nothing to a first edit in another tool: how long each step takes a new user.

    python -m benchmarks.first_edit [--quick] [--json]

The wheel is made first, as a stranger would be handed it. Then, in an empty folder with an empty
cache: a virtual environment, the installation with all it needs from the package index, the model,
the workbench's first page, an edit on the command line, its export to plain transformers, and the
exported script, which ends with an error where its numbers are not the workbench's. With
``--quick`` this environment's packages are used in place of an installation from the index.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import cells, parser, print_figures
from metasae.sources.cache import CACHE_VARIABLE
from tests.browser.serving import answering
from tests.guest import visit
from tests.packing import install_beside, packed


class Way:
    """The steps, each with its time.

    Args:
        home: an empty folder, from which everything is run.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.steps: list[dict[str, Any]] = []
        self.variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.variables |= {CACHE_VARIABLE: str(home / "cache"), "PIP_NO_CACHE_DIR": "1"}

    def done(self, step: str, command: str, began: float, seen: str = "") -> None:
        """Note a step that has ended."""
        seconds = time.perf_counter() - began
        self.steps.append({"step": step, "command": command, "seconds": seconds, "seen": seen})

    def run(self, step: str, *words: str) -> str:
        """Run a command of the new environment; what it prints."""
        began = time.perf_counter()
        told = subprocess.run(
            [str(self.home / ".venv" / "bin" / words[0]), *words[1:]],
            cwd=self.home, env=self.variables, capture_output=True, text=True,
        )  # fmt: skip
        if told.returncode:
            sys.exit(f"{' '.join(words)}: {told.stderr}")
        lines = [line for line in told.stdout.splitlines() if line.strip()]
        short = " ".join(Path(word).name if "/" in word else word for word in words)
        self.done(step, short, began, lines[-1].replace(f"{self.home}/", "") if lines else "")
        return told.stdout


def first_page(way: Way) -> None:
    """Open the workbench and wait for the first numbers on its page."""
    began = time.perf_counter()

    async def numbers() -> int:
        async with visit(server.address, {}) as guest:
            return len((await guest.open()).numbers)

    command = [str(way.home / ".venv" / "bin" / "metasae"), "workbench"]
    with answering(
        lambda port: [*command, f"--port={port}", "--", "--server.headless=true"],
        way.home / "log.txt", way.home, way.variables,
    ) as server:  # fmt: skip
        count = asyncio.run(numbers())
        way.done("the workbench's first page", "metasae workbench", began, f"{count} numbers")


def measure(quick: bool) -> dict[str, Any]:
    """Walk the way once."""
    with TemporaryDirectory() as scratch:
        wheel = packed(Path(scratch))
        home = Path(scratch) / "home"
        home.mkdir()
        way = Way(home)
        began = time.perf_counter()
        venv.create(home / ".venv", with_pip=not quick, symlinks=True)
        way.done("an environment", "python3 -m venv .venv", began)
        if quick:
            install_beside(home / ".venv", wheel)
        else:
            way.run("the installation", "pip", "install", "--quiet", str(wheel))
        way.run("the model", "metasae", "fetch")
        first_page(way)
        swap = way.run("an edit", "metasae", "steer", "--swap", "--json")
        way.steps[-1] |= {"command": "metasae steer --swap --json > edit.json", "seen": ""}
        (home / "edit.json").write_text(swap)
        way.steps[-1]["seen"] = json.loads(swap)["sentence"]
        way.run(
            "its export", "metasae", "export", "--edit", "edit.json", "--to", "transformers",
            "--out", "exported",
        )  # fmt: skip
        (model,) = (home / "cache" / "models").iterdir()
        way.run("the edit in transformers", "python", "exported/with_transformers.py", str(model))
        disk = {name: size(home / name) for name in (".venv", "cache")}
    return {
        "total_s": sum(step["seconds"] for step in way.steps),
        "steps": way.steps,
        "environment_mb": disk[".venv"],
        "cache_mb": disk["cache"],
        "processors": os.cpu_count(),
    }


def size(folder: Path) -> float:
    """Megabytes of what is in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def main() -> None:
    """Print the steps."""
    arguments = parser(__doc__).parse_args()
    figures = measure(arguments.quick)
    print_figures(figures, arguments.json, map(cells, figures["steps"]))


if __name__ == "__main__":
    main()
