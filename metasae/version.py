"""The version of this package."""

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("metasae")
    except metadata.PackageNotFoundError:
        return "uninstalled"


__version__ = _installed()
"""It is "uninstalled" when the package runs from a bare folder."""
