"""Neuronpedia: an edit as a vector, latents and meta-latents as features."""

from pathlib import Path

from metasae.exports import neuronpedia_features, neuronpedia_vector
from metasae.exports.directions import Directions
from metasae.exports.edited import Edited
from metasae.exports.one_vector import one_vector
from metasae.exports.target import Target


def _write(thing: Edited | Directions, folder: Path) -> None:
    if isinstance(thing, Edited):
        neuronpedia_vector.write(thing, folder)
    else:
        neuronpedia_features.write(thing, folder)


def _said(thing: Edited | Directions) -> tuple[str, ...]:
    return (one_vector(thing).sentence,) if isinstance(thing, Edited) else ()


TARGET = Target(
    "neuronpedia",
    "Neuronpedia",
    (Edited, Directions),
    _write,
    files=tuple({*neuronpedia_vector.FILES, *neuronpedia_features.FILES}),
    said=_said,
)
