"""Entries of a text drawn at random, and what is gathered of them."""

from collections.abc import Sequence

import numpy as np
import torch

from metasae.explorer import gathering
from metasae.explorer.copies import CopyFinder
from metasae.explorer.gathering import _Gatherer
from metasae.text.windows import Windows

WIDTH, MEDIAN = 5, 10.0

LONGEST = 30
"""Tokens of a window of `text_of`."""


def text_of(rows: Sequence[Sequence[int]]) -> Windows:
    """A text of given windows, the start token 0 put first in each."""
    tokens = torch.zeros(len(rows), LONGEST, dtype=torch.int32)
    for number, row in enumerate(rows):
        tokens[number, 1 : 1 + len(row)] = torch.tensor(row, dtype=torch.int32)
    return Windows(
        tokens, torch.tensor([1 + len(row) for row in rows]), torch.arange(len(rows)),
        ("made up",) * len(rows), (False,) * len(rows),
    )  # fmt: skip


def distinct(windows: int) -> Windows:
    """A text in which no token comes twice."""
    rows = np.arange(1, 1 + windows * (LONGEST - 1)).reshape(windows, -1)
    return text_of(rows.tolist())


def entries(seed: int, count: int = 400, windows: int = 60) -> np.ndarray:
    """Random entries; a latent fires on a token once."""
    draw = np.random.default_rng(seed)
    every = draw.choice(WIDTH * windows * 9, count, replace=False)
    found = np.empty(count, dtype=gathering._ENTRY)
    found["latent"], rest = every % WIDTH, every // WIDTH
    found["window"], found["position"] = rest % windows, 1 + rest // windows
    found["activation"] = np.exp(draw.normal(0, 1.5, count)) * 3
    return found


def peaks_of(latent: int, activations: Sequence[float], at: int = 9) -> np.ndarray:
    """A latent that fires once in each of some windows."""
    found = np.empty(len(activations), dtype=gathering._ENTRY)
    found["latent"], found["window"] = latent, np.arange(len(activations))
    found["position"], found["activation"] = at, activations
    return found


def gathered(every: np.ndarray, text: Windows | None = None) -> _Gatherer:
    """Taken in batches of whole windows, as they come; of a text without copies when left out."""
    text = distinct(int(every["window"].max()) + 1) if text is None else text
    gatherer = _Gatherer(WIDTH, MEDIAN, CopyFinder(text))
    for part in np.array_split(np.unique(every["window"]), 7):
        gatherer.add(every[np.isin(every["window"], part)])
    return gatherer
