"""The notebooks run from top to bottom on what ships, and show what they say.

Set METASAE_WRITE_NOTEBOOKS=1 to keep the outputs in them, which are what they show as pages.
"""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

MOST = 60_000
"""Characters of the outputs that a notebook keeps."""

SECONDS = 240
"""For a cell, on a machine that others use as well."""


def cells(notebook: Any, kind: str) -> list[Any]:
    return [one for one in notebook.cells if one.cell_type == kind]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_are_four() -> None:
    assert {path.stem for path in NOTEBOOKS} == {
        "tokyo_speaks_french", "take_your_own_sae_apart", "read_a_latent_honestly",
        "reproduce_the_post",
    }  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_page_and_uses_the_public_library_alone(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert cells(notebook, "markdown")[0].source.startswith("# ")
    code = "\n".join(one.source for one in cells(notebook, "code"))
    assert "import metasae\n" in code
    assert re.findall(r"(?:from|import) (?:metasae\.\w+|workbench|tests|benchmarks)", code) == []
    assert {one.source for one in cells(notebook, "code")}.isdisjoint({""})
    outputs = [str(one.outputs) for one in cells(notebook, "code")]
    assert sum(map(len, outputs)) <= MOST
    assert not re.search(r"/(home|work|tmp|root|Users)/", "".join(outputs))


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    notebook = read(path)
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute(cwd=str(FOLDER))
    if os.environ.get("METASAE_WRITE_NOTEBOOKS"):
        for one in cells(notebook, "code"):
            one.metadata.clear()  # when it ran
            # Progress and warnings say nothing to who reads the page.
            one.outputs = [out for out in one.outputs if out.get("name") != "stderr"]
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
    printed = [one for one in cells(notebook, "code") if one.outputs]
    assert len(printed) >= len(cells(notebook, "code")) / 2
