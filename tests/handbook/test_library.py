"""The reference names what is public, and every module of every floor."""

import re
from pathlib import Path

import metasae
from docs.handbook import library
from docs.handbook.sentences import ROOT


def entries(page: str) -> list[str]:
    return re.findall(r"^::: (\S+)$", page, flags=re.MULTILINE)


def test_every_public_name_is_there() -> None:
    assert [one.rpartition(".")[2] for one in entries(library.public())] == metasae.__all__


def test_every_module_is_there() -> None:
    named = {one for page in library.floors().values() for one in entries(page)}
    files = [path for path in (ROOT / "metasae").glob("*/*.py") if path.stem != "__init__"]
    assert named == {_dotted(path) for path in files} and len(named) > 100


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)
