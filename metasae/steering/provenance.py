"""What a number came from: preset, weights with their hashes, the version of this package."""

from collections.abc import Mapping
from dataclasses import dataclass

WEIGHTS = {"model": "model", "sae": "SAE", "meta_sae": "meta-SAE"}
"""What numbers depend on, as files name it and as people do."""


@dataclass(frozen=True)
class Provenance:
    """What a number came from; travels with every export.

    Attributes:
        preset: text form of what was opened (see `presets.Opened`).
    """

    preset: str
    model: str
    hook: str
    sae: str
    meta_sae: str
    version: str

    def other_than(self, made_with: Mapping[str, str]) -> str:
        """The first weights that aren't those a file was made with, in words; empty if all are.

        Args:
            made_with: the file's model, sae and meta_sae.
        """
        for name, words in WEIGHTS.items():
            if made_with[name] != getattr(self, name):
                return (
                    f"This file was made with the {words} {made_with[name]}, and the workbench "
                    f"has {getattr(self, name)} open"
                )
        return ""

    def change(self, now: "Provenance") -> tuple[str, str, str] | None:
        """The first thing that another provenance has otherwise, in words, with what it is here
        and there; None where both are the same."""
        mine, theirs = vars(self), vars(now)
        for name in mine:
            if mine[name] != theirs[name]:
                return WEIGHTS.get(name, name), mine[name], theirs[name]
        return None


@dataclass(frozen=True)
class Weights:
    """SHA-256 of the weights a number was computed with, in hexadecimal (see `lab.weights`)."""

    model: str
    sae: str
    meta_sae: str
