"""What a number came from: preset, weights and the version of this package."""

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True)
class Provenance:
    """What a number came from; travels with every export."""

    preset: str
    model: str
    hook: str
    sae: str
    meta_sae: str
    version: str


def _version() -> str:
    try:
        return metadata.version("metasae")
    except metadata.PackageNotFoundError:
        return "uninstalled"


__version__ = _version()
"""Version of this package; "uninstalled" when it runs from a bare folder."""
