"""The pages about the library: its public names, and every floor with its modules."""

import ast
from pathlib import Path

import metasae
from docs.handbook.sentences import ROOT

_HEAD = """\
# Library

`import metasae` gives these names; each is loaded when it is first used. What lies beneath them, by
floor, follows in this section: it may change from version to version, the names here with notice.

"""


def public() -> str:
    """The page of `metasae.__all__`, as Markdown."""
    homes = {name: metasae._HOMES[name] for name in metasae.__all__}
    return _HEAD + "\n".join(_entry(f"{home}.{name}") for name, home in homes.items())


def floors() -> dict[str, str]:
    """Part of the library → its page, as Markdown: from the ground up, each module in turn."""
    parts = sorted((ROOT / "metasae").glob("*/__init__.py"))
    return {path.parent.name: _floor(path.parent) for path in parts}


def _floor(part: Path) -> str:
    said = ast.get_docstring(ast.parse((part / "__init__.py").read_text("utf-8"))) or ""
    modules = sorted(path.stem for path in part.glob("*.py") if path.stem != "__init__")
    entries = "\n".join(_entry(f"metasae.{part.name}.{one}") for one in modules)
    return f"# metasae.{part.name}\n\n{said}\n\n{entries}"


def _entry(name: str) -> str:
    return f"::: {name}\n"
