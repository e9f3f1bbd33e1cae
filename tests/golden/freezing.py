"""How things are frozen: what is kept under a name, and the shapes of what is compared with it."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors.torch import load_file

HERE = Path(__file__).parent
EXPECTED, FIXTURES = HERE / "expected", HERE / "fixtures"
REGENERATE = bool(os.environ.get("METASAE_REGENERATE_GOLDEN"))


def frozen(name: str, value: Any) -> Any:
    """What is kept under a name; ``value`` itself, written down, where all is made anew."""
    path = EXPECTED / f"{name}.json"
    if REGENERATE:
        EXPECTED.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return json.loads(path.read_text())


def check(name: str, value: Any) -> None:
    """Assert that a JSON-able value is what is kept under that name."""
    assert json.loads(json.dumps(value)) == frozen(name, value)


def shape(value: Any) -> Any:
    """Keys and types of JSON-able values.

    The items of a list are one shape, ``key?`` where only some have the key; keys that are numbers
    of latents or widths are one key, ``#``.
    """
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, one in value.items():
            named = "#" if re.fullmatch(r"\d+", key) else key
            made[named] = merged(made[named], shape(one)) if named in made else shape(one)
        return made
    if isinstance(value, list | tuple):
        items = [shape(one) for one in value]
        if not items:
            return []
        whole = items[0]
        for one in items[1:]:
            whole = merged(whole, one)
        return [whole]
    return "null" if value is None else type(value).__name__


def merged(one: Any, other: Any) -> Any:
    """The shape of what has either of two shapes."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({name.removesuffix("?") for name in (*one, *other)})
        made: dict[str, Any] = {}
        for name in names:
            sides = [side.get(name, side.get(f"{name}?")) for side in (one, other)]
            there = [side for side in sides if side is not None]
            certain = name in one and name in other
            made[name if certain else f"{name}?"] = merged(*there) if len(there) == 2 else there[0]
        return made
    if isinstance(one, list) and isinstance(other, list):
        return [merged(one[0], other[0])] if one and other else one or other
    either = {part for side in (one, other) for part in (side if isinstance(side, str) else
              json.dumps(side, sort_keys=True)).split(" | ")}  # fmt: skip
    return " | ".join(sorted(either))


def names(folder: Path) -> list[str]:
    """Names of all files below a folder, digests as ``…``."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(re.sub(r"[0-9a-f]{12,}", "…", path.relative_to(folder).as_posix())
                  for path in paths)  # fmt: skip


def columns(path: Path) -> dict[str, Any]:
    """Columns and types of a Parquet file, in order, and what its note says."""
    schema = pq.read_schema(path)
    note = (schema.metadata or {}).get(b"metasae")
    return {
        "columns": [[field.name, str(field.type)] for field in schema],
        "note": None if note is None else shape(json.loads(note)),
    }


def tensors(path: Path) -> dict[str, list[Any]]:
    """Names, shapes and types of a file of tensors."""
    return {name: [list(one.shape), str(one.dtype)] for name, one in load_file(path).items()}


def contents(folder: Path) -> dict[str, Any]:
    """Columns or keys of all files of a folder, by their names."""
    read = {
        ".parquet": columns,
        ".json": lambda path: shape(json.loads(path.read_text())),
        ".safetensors": tensors,
    }
    return {name: read[(folder / name).suffix](folder / name) for name in names(folder)}
