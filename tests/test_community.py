"""What the files for people beside the README say is so: versions, links, commands, templates."""

import re
from pathlib import Path

import pytest

from metasae.studies.registry import STUDIES
from metasae.version import RELEASED
from tests.test_house import PYPROJECT, ROOT

VERSION = PYPROJECT["project"]["version"]

PAGES = [*(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
         ROOT / "docs" / "deploy.md", ROOT / "docs" / "benchmarks.md"]  # fmt: skip

NAMED = re.compile(r"`((?:\.ci|\.github|benchmarks|docs|metasae|pages|tests|workbench)/[\w./-]*)`")
"""A path of the repository, as it is written in a text."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in NAMED.findall(text) if not (ROOT / name).exists()] == []


def test_the_changes_of_this_version_stand_first_after_those_to_come() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heads[:2] == ["[Unreleased]", f"[{VERSION}] - {RELEASED}"]


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {VERSION}\n" in text and f'\ndate-released: "{RELEASED}"\n' in text
    assert f"\nlicense: {PYPROJECT['project']['license']}\n" in text
    assert PYPROJECT["project"]["authors"] == [{"name": "meta-SAE workbench authors"}]
    assert "\n  - name: meta-SAE workbench authors\n" in text


def test_the_tiers_are_those_of_the_tests() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    tiers = (ROOT / "tests" / "conftest.py").read_text("utf-8").partition('"""')[2]
    for command in re.findall(r"`(pytest -m [^`]*)`", text):
        assert command in tiers
    assert len(STUDIES) > 0 and "`metasae/studies/registry.py`" in text


def test_the_hooks_are_the_checks_of_the_gate() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    gate = (ROOT / ".ci" / "run").read_text("utf-8")
    called = [entry.split(" --")[0] for entry in re.findall(r"^ +entry: (.*)$", hooks, re.M)]
    assert called == ["ruff check", "ruff format", "mypy"]
    for command in called:
        assert f"\ncheck {command}" in gate


def test_the_formats_that_are_read_back_are_told_from_each_other() -> None:
    """Each is used by the modules its text names."""
    text = (ROOT / "metasae" / "sources" / "versions.py").read_text("utf-8")
    kinds = re.findall(r'^([A-Z]+) = Format\(\)\n"""([^"]*)"""', text, re.MULTILINE)
    assert len(kinds) > 8
    for name, said in kinds:
        (places,) = re.findall(r"\(`([^)]*)`\)", said)
        for place in places.split("`, `"):
            where = ROOT / "metasae" / place.replace(".", "/")
            files = where.glob("*.py") if where.is_dir() else [where.with_suffix(".py")]
            assert any(name in path.read_text("utf-8") for path in files), f"{name}: {place}"
