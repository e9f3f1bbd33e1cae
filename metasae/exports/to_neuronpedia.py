"""Neuronpedia: an edit as a vector, latents and meta-latents as features."""

from pathlib import Path

from metasae.exports import neuronpedia_features, neuronpedia_vector
from metasae.exports.directions import Directions
from metasae.exports.edited import Edited
from metasae.exports.target import Target


def _write(thing: Edited | Directions, folder: Path) -> tuple[str, ...]:
    if isinstance(thing, Edited):
        return neuronpedia_vector.write(thing, folder)
    neuronpedia_features.write(thing, folder)
    return ()


TARGET = Target(
    "neuronpedia",
    "Neuronpedia",
    (Edited, Directions),
    _write,
    files=tuple({*neuronpedia_vector.FILES, *neuronpedia_features.FILES}),
)
