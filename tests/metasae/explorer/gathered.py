"""Entries of a text drawn at random, and what is gathered of them."""

import numpy as np

from metasae.explorer import gathering
from metasae.explorer.gathering import _Gatherer

WIDTH, MEDIAN = 5, 10.0


def entries(seed: int, count: int = 400, windows: int = 60) -> np.ndarray:
    """Random entries; a latent fires on a token once."""
    draw = np.random.default_rng(seed)
    every = draw.choice(WIDTH * windows * 9, count, replace=False)
    found = np.empty(count, dtype=gathering._ENTRY)
    found["latent"], rest = every % WIDTH, every // WIDTH
    found["window"], found["position"] = rest % windows, 1 + rest // windows
    found["activation"] = np.exp(draw.normal(0, 1.5, count)) * 3
    return found


def gathered(every: np.ndarray) -> _Gatherer:
    """Taken in batches of whole windows, as they come."""
    gatherer = _Gatherer(WIDTH, MEDIAN)
    for part in np.array_split(np.unique(every["window"]), 7):
        gatherer.add(every[np.isin(every["window"], part)])
    return gatherer
