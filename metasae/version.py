"""The version of this package, and when it came out."""

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("metasae")
    except metadata.PackageNotFoundError:
        return "uninstalled"


__version__ = _installed()
"""It is "uninstalled" when the package runs from a bare folder."""

RELEASED = "2026-11-26"
"""Day of this version, as a citation names it; changed together with it in pyproject.toml."""
