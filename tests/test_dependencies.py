"""What is imported is declared, what is declared is needed, and the lock is of what is pinned."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_house import PYPROJECT, ROOT, imports_of, pins

OURS = {"metasae", "workbench", "pages", "benchmarks", "tests", "docs", "setup"}

HANDED_OUT = ROOT / "metasae" / "exports" / "scripts"
"""Scripts that an export writes: they run on their own, with what whoever takes them has there."""

NEEDED_UNIMPORTED = {
    "gguf": "transformers reads the embedded model's file with it",
    "pip": "sources.wheels runs it",
}
"""Packages of the library and the app that no line of them imports → what needs them."""

TOOLS = {
    "ipykernel": "nbclient runs notebooks in it",
    "axe-playwright-python": "a file of it is read",
    "mypy": "run by .ci/run",
    "pandas-stubs": "read by mypy",
    "pytest-cov": "pytest's own, asked for by --cov",
    "pytest-timeout": "pytest's own, set in pyproject.toml",
    "ruff": "run by .ci/run",
    "setuptools": "run by tests/test_installed.py",
}
"""Of the tests likewise."""


def packages(folders: Iterable[str]) -> set[str]:
    """The packages that provide what the modules in some folders import."""
    provided = metadata.packages_distributions()
    roots = {
        name.split(".")[0]
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.parent != HANDED_OUT
        for name in imports_of(path)
    }
    roots -= sys.stdlib_module_names | OURS | in_code("exports")
    assert roots <= set(provided), "imported, but not installed"
    return {canonicalize_name(provided[root][0]) for root in roots}


def declared(extra: str = "") -> set[str]:
    """The packages pyproject.toml asks for, or an extra of it."""
    project = PYPROJECT["project"]
    needs = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {canonicalize_name(Requirement(need).name) for need in needs}


def in_code(extra: str) -> set[str]:
    """The names by which an extra's packages are imported, where these are the packages' own."""
    return {name.replace("-", "_") for name in declared(extra)}


def test_what_the_library_and_the_app_import_is_what_is_declared() -> None:
    imported = packages(["metasae", "workbench", "pages"]) - declared("ray")
    assert imported & set(NEEDED_UNIMPORTED) == set()
    assert imported | set(NEEDED_UNIMPORTED) == declared()


def test_what_the_tests_and_the_benchmarks_import_besides_is_what_is_declared() -> None:
    imported = packages(["tests", "benchmarks"])
    assert imported & set(TOOLS) == set()
    assert (imported | set(TOOLS)) - declared() == declared("test")


def locked(text: str) -> dict[str, tuple[str, int]]:
    """Package → its version and how many hashes it has."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=[a-z])", text):
        if match := re.match(r"([a-z0-9.-]+)==([^\s;]+)", entry):
            hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)
            found[canonicalize_name(match[1])] = match[2], len(hashes)
    return found


LOCK = (ROOT / "requirements.lock").read_text("utf-8")


def test_what_exports_are_held_against_is_the_extra_of_that_name() -> None:
    tests = (ROOT / "tests" / "metasae" / "exports").glob("*.py")
    text = "".join(path.read_text("utf-8") for path in tests)
    for name in in_code("exports"):
        assert f'is_installed("{name}")' in text


def test_the_lock_is_of_what_is_pinned() -> None:
    versions = {name: version for name, (version, _) in locked(LOCK).items()}
    for name, pin in pins().items():
        (exact,) = pin.specifier
        assert versions[name] == exact.version, f"{name}: make the lock anew with .ci/lock"


def test_every_entry_of_the_lock_is_a_version_with_hashes_and_nothing_else() -> None:
    found = locked(LOCK)
    lines = [line for line in LOCK.splitlines() if not line.startswith(("#", "    --hash="))]
    assert len(lines) == len(found) and min(hashes for _, hashes in found.values()) > 0
    assert "://" not in LOCK  # it comes from whichever index one uses


def test_the_lock_has_what_each_of_its_packages_needs() -> None:
    """As far as the packages are installed here in the locked version."""
    found = set(locked(LOCK)) | {"pip"}
    for name, (version, _) in locked(LOCK).items():
        try:
            there = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another system
            continue
        if there.version.partition("+")[0] != version:
            continue
        for need in map(Requirement, there.requires or ()):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in found, f"{name} needs {need.name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a\na==1 \\\n    --hash=sha256:" + "0" * 64 + "\nb==2.0 ; x\n", {"a": 1, "b": 0}),
        ("", {}),
    ],
)
def test_entries_are_counted_with_their_hashes(text: str, expected: dict[str, int]) -> None:
    assert {name: hashes for name, (_, hashes) in locked(text).items()} == expected


def test_the_build_needs_no_newer_setuptools_than_the_tests_build_with() -> None:
    (need,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    (pinned,) = [
        Requirement(one)
        for one in PYPROJECT["project"]["optional-dependencies"]["test"]
        if Requirement(one).name == need.name
    ]
    (exact,) = pinned.specifier
    assert need.specifier.contains(exact.version)
