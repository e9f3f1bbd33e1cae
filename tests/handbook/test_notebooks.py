"""A notebook as a page: its words, its code, and what it showed."""

import json
from pathlib import Path
from typing import Any

from docs.handbook.notebooks import page, pages


def cell(kind: str, *lines: str, outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"cell_type": kind, "source": list(lines)} | ({"outputs": outputs} if outputs else {})


def test_a_notebook_as_a_page(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = [
        {"output_type": "stream", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["3"], "text/html": ["<b>"]}},
        {"output_type": "display_data", "data": {"image/png": "aGk=\n", "text/plain": ["x"]}},
    ]
    cells = [
        cell("markdown", "# Title\n", "\n", "Words."),
        cell("code", "print(1)\n", "2 + 1", outputs=shown),
        cell("code", ""),
        cell("raw", "nothing"),
        cell("code", "x = '''\n```\n'''"),
    ]
    path = tmp_path / "a_b.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    made = page(path)
    text, _, where = made.text.rpartition("\n\n---\n\n")
    assert (made.name, made.title) == ("a_b", "Title") and "notebooks/a_b.ipynb" in where
    assert text == (
        "# Title\n\nWords.\n\n```python\nprint(1)\n2 + 1\n```\n\n```text\none\ntwo\n```\n\n"
        "```text\n3\n```\n\n![What the cell above drew](data:image/png;base64,aGk=)\n\n"
        "````python\nx = '''\n```\n'''\n````"
    )
    assert [one.name for one in pages(tmp_path)] == ["a_b"] and pages(tmp_path / "none") == []
