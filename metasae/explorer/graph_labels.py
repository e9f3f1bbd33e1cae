"""Where the labels of a graph's picture stand, and how far one zooms in until there is room.

No label lies on another, on a node's mark or across the picture's edge. The one that matters more
is placed first; one that finds no room appears as the picture is enlarged, since then the nodes
move apart and the letters stay as large.

Shapes: N nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

ZOOMS = (1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0)
"""Enlargements that are tried."""

NEVER = 1e9
"""Enlargement of a label that finds no room at any of `ZOOMS`."""

_MOST = 200
"""Labels that are looked for room for; of more nodes, nobody could read the others'."""

_LETTER = 0.56
"""Mean width of a letter, as a share of the font's size."""

_LINE = 1.15
"""Height of a line, as a share of the font's size."""

_GAP = 3.0
"""Pixels between a mark and its label."""


@dataclass(frozen=True)
class Placed:
    """Where a label stands.

    Attributes:
        zoom: enlargement of the picture from which it is shown.
        dx, dy: pixels from its node's middle to the label's middle.
    """

    zoom: float
    dx: float
    dy: float


def placed(
    places: Float[np.ndarray, "N 2"],
    texts: Sequence[str],
    fonts: Sequence[float],
    radii: Sequence[float],
    order: Sequence[int],
    size: tuple[float, float],
) -> list[Placed]:
    """Place every label below, above or beside its node, where there is room.

    Args:
        places: of the nodes, as shares of the picture's width and height.
        texts: the labels.
        fonts: their sizes in pixels.
        radii: of the nodes' marks in pixels.
        order: the nodes, those whose labels matter most first; the first `_MOST` are placed.
        size: width and height of the picture in pixels.
    """
    radius = np.array(radii, dtype=float)
    half = np.array(
        [
            (_LETTER * font * len(text) / 2, _LINE * font / 2)
            for text, font in zip(texts, fonts, strict=True)
        ]
    ).reshape(-1, 2)
    shown = np.full(len(texts), NEVER)
    offset = np.zeros((len(texts), 2))

    def free(node: int, at: np.ndarray, zoom: float) -> bool:
        # Once enlarged, what lies outside can be moved into the picture.
        centre = places[node] * np.array(size) + at
        inside = (centre >= half[node]) & (centre <= np.array(size) - half[node])
        if zoom == ZOOMS[0] and not inside.all():
            return False
        middle = zoom * (places - places[node]) * np.array(size) - at
        marks = np.abs(middle) < half[node] + radius[:, None]
        marks[node] = False
        if marks.all(axis=1).any():
            return False
        there = shown <= zoom
        labels = np.abs(middle + offset) < half[node] + half
        return not (labels.all(axis=1) & there).any()

    for node in order[:_MOST]:
        if not texts[node]:
            continue
        away = radius[node] + _GAP
        wide, high = half[node]
        around = [
            np.array(one)
            for one in ((0, away + high), (0, -away - high), (away + wide, 0), (-away - wide, 0))
        ]
        shown[node], offset[node] = next(
            ((zoom, at) for zoom in ZOOMS for at in around if free(node, at, zoom)),
            (NEVER, around[0]),
        )
    return [
        Placed(float(zoom), float(dx), float(dy))
        for zoom, (dx, dy) in zip(shown, offset, strict=True)
    ]
