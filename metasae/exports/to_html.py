"""A latent, a graph or a search as one HTML file, which opens without a server or a network."""

from pathlib import Path
from typing import Any

from metasae.exports.pages import MAKERS
from metasae.exports.target import Target


def _write(thing: Any, out: Path) -> tuple[str, ...]:
    out.write_text(MAKERS[type(thing)](thing).text(), "utf-8")
    return ()


TARGET = Target("html", "A page of its own", tuple(MAKERS), _write, endings=(".html",))
