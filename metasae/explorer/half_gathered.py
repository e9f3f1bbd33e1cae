"""What a description has gathered so far, kept so that one that was killed goes on from there."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.files import written_whole

EVERY = 30.0
"""Seconds between two writes: the most work a kill can cost."""

NAME = "half-gathered.npz"

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def identity(text: str, median_norm: float, saes: Mapping[int, SparseAutoencoder]) -> str:
    """Tells what is gathered from anything else.

    Args:
        text: names it and the order it is read in.
    """
    weights = {
        width: hashlib.sha256(sae.W_enc.numpy().tobytes() + sae.W_dec.numpy().tobytes()).hexdigest()
        for width, sae in saes.items()
    }
    about = json.dumps([text, median_norm, sorted(weights.items())])
    return hashlib.sha256(about.encode()).hexdigest()


@dataclass(frozen=True)
class HalfGathered:
    """How far a pass over the text has come.

    Attributes:
        batches: of the text that are behind it.
        tokens: in them.
        precision: what the model and the SAEs are run in, as torch names it; the rest is too.
        states: per width what its gatherer holds, as arrays by name.
    """

    batches: int
    tokens: int
    precision: str
    states: Mapping[int, Mapping[str, np.ndarray]]

    def save(self, path: Path, about: str) -> None:
        """Write it.

        Args:
            about: see `identity`.

        Raises:
            UserError: when the disk is full or the folder can't be written.
        """
        arrays = {
            f"{width} {name}": array
            for width, state in self.states.items()
            for name, array in state.items()
        }
        place = np.array([self.batches, self.tokens])
        with written_whole(path) as part, part.open("wb") as file:
            said = {"about": np.array(about), "precision": np.array(self.precision)}
            np.savez(file, place=place, **said, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path, about: str) -> "HalfGathered | None":
        """What `save` wrote; None where there is nothing, something else, or it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if str(arrays["about"]) != about:
                    return None
                batches, tokens = arrays["place"].tolist()
                states: dict[int, dict[str, np.ndarray]] = {}
                for key in arrays.files:
                    width, _, name = key.partition(" ")
                    if name:
                        states.setdefault(int(width), {})[name] = arrays[key]
                return HalfGathered(batches, tokens, str(arrays["precision"]), states)
        except _DAMAGED:
            return None
