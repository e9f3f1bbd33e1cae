"""Scans of a page by axe: what it finds against the accessibility guidelines, and where."""

import json
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

GRAVE = ("serious", "critical")
"""Impacts that fail a test."""

STREAMLITS_OWN: dict[tuple[str, str], str] = {}
"""(rule, part of the element's markup or selector) → why we can't do anything about it.

Everything else that is found is of our own making.
"""


def findings(page: Page) -> list[str]:
    """What is grave and ours on the page as it stands, one line an element."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {json.dumps(node['target'])} {node['html'][:200]} "
        f"{node['any'][0]['message'][:200] if node['any'] else ''}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
        if not _unavoidable(one["id"], f"{node['target']} {node['html']}")
    ]


def _unavoidable(rule: str, where: str) -> bool:
    return any(rule == known and part in where for known, part in STREAMLITS_OWN)
