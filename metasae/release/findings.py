"""What a doctor found, as one report that can be pasted into an issue: no path is in it."""

import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from metasae.sources.cache import cache_dir
from metasae.version import __version__

OK, DIFFERS, UNCHECKED = "ok", "differs", "could not be checked"

_BESIDE = ("torch", "transformers", "safetensors", "sae-lens", "numpy")
"""Packages whose versions stand in a report."""

_BEGIN = r"(?:(?<=[\s(\"'`|=\[{,;])|(?<=<)(?!/\w+>)|(?<=[^\W\d_]:)(?!//)|(?<=file://)|^)"

_FOLDER = (
    r"(?:[^\s/\\|\"'`;,()\[\]{}<>]|(?<=\w)'(?=\w)|,(?![\s/\\])|\([^()|/\\]*\)|\[[^\[\]|/\\]*\])+"
)

_PATH = re.compile(
    rf"{_BEGIN}(?:[A-Za-z]:[\\/]|~?/|\\\\)(?:{_FOLDER}(?:[ ]+{_FOLDER})*[\\/]+)*"
    r"[^\s/\\|\"'`)\]}>]*[^\s/\\|\"'`)\]}>.,;:]"
)
"""A full path; a folder's name may have blanks and closed brackets in it, the last name none."""


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        expected: what should be, and where that is said.
        found: what is; why it could not be checked.
        verdict: `OK`, `DIFFERS` or `UNCHECKED`.
    """

    name: str
    expected: str
    found: str
    verdict: str

    @staticmethod
    def of(name: str, expected: str, found: str, right: bool) -> "Finding":
        """A check that could be made."""
        return Finding(name, expected, found, OK if right else DIFFERS)

    @staticmethod
    def unchecked(name: str, expected: str, why: object) -> "Finding":
        """A check that could not."""
        return Finding(name, expected, str(why), UNCHECKED)


@dataclass(frozen=True)
class Examination:
    """All that was found of a preset.

    Attributes:
        not_asked: checks there is nothing to compare with for, each a sentence.
        seconds: they took.
    """

    preset: str
    findings: tuple[Finding, ...]
    not_asked: tuple[str, ...]
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether everything could be checked and is as it should be."""
        return all(one.verdict == OK for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, without paths."""
        findings = [
            {key: private(value) for key, value in asdict(one).items()} for one in self.findings
        ]
        return {
            "preset": private(self.preset), "fine": self.fine, "findings": findings,
            "not_asked": [private(one) for one in self.not_asked], "seconds": self.seconds,
            "versions": versions(),
        }  # fmt: skip

    def markdown(self) -> str:
        """The report."""
        counts = ", ".join(
            f"{sum(one.verdict == verdict for one in self.findings)} {verdict}"
            for verdict in (OK, DIFFERS, UNCHECKED)
        )
        said = ", ".join(f"{name} {number}" for name, number in versions().items())
        lines = [
            f"# metasae doctor: {private(self.preset)}", "",
            f"{counts}; {self.seconds:.0f} s. {said}.", "",
            "| check | expected | found | |", "|---|---|---|---|",
            *(f"| {' | '.join(map(_cell, asdict(one).values()))} |" for one in self.findings),
        ]  # fmt: skip
        if self.not_asked:
            lines += ["", *(f"- {private(one)}" for one in self.not_asked)]
        return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """What runs here."""
    found = {"metasae": __version__, "Python": platform.python_version()}
    for name in _BESIDE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found | {"on": f"{platform.system()} {platform.machine()}"}


def private(text: str) -> str:
    """A text without paths of the person's: the cache is ~, of any other the last name is left."""
    for folder in _folders():
        text = re.sub(rf"{re.escape(str(folder))}(?![\w-])", "~", text)
    return _PATH.sub(lambda path: _shortened(path[0]), text)


def _shortened(path: str) -> str:
    return path if path.startswith("~") else "…/" + re.split(r"[\\/]", path)[-1]


def _folders() -> Sequence[Path]:
    """Folders that may be shown as ~, the deepest first."""
    from huggingface_hub import constants

    known: list[Callable[[], Path]] = [cache_dir, lambda: Path(constants.HF_HUB_CACHE), Path.home]
    folders = []
    for one in known:
        try:
            folders.append(one())
        except (RuntimeError, OSError):  # a home that isn't there
            continue
    # Of a service the home may be the root, which every path begins with.
    named = [one for one in folders if one.is_absolute() and one != Path(one.anchor)]
    return sorted(named, key=lambda one: len(str(one)), reverse=True)


def _cell(text: str) -> str:
    """A text as a cell of a table in Markdown."""
    return private(" ".join(text.split())).replace("|", "\\|").replace("<", "&lt;")
