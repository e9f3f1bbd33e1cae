"""Which held-out text figures are measured on: no copies of training text, nothing chosen by it."""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from metasae.text.windows import Windows

RUN = 8
"""Tokens of a run that counts as a copy."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no power of it is lost modulo 2⁶⁴."""


def clean_windows(windows: Windows, run: int = RUN) -> Bool[Tensor, " N"]:
    """Which windows are of held-out documents and share no run of tokens with a training document.

    Runs are looked at within documents, so one that crosses the end of a window counts for each
    window it lies in; the start token is no part of one. Runs are compared by a hash of 64 bits.

    Args:
        run: number of tokens.
    """
    inside = torch.arange(windows.tokens.shape[1])[None] < windows.lengths[:, None]
    inside[:, 0] = False
    tokens = windows.tokens[inside].numpy().astype(np.uint64)
    window = inside.nonzero()[:, 0].numpy()
    document = windows.document.numpy()[window]
    held_out = np.array(windows.held_out)[document]
    clean = np.array(windows.held_out)[windows.document.numpy()]
    if len(tokens) >= run:
        count = len(tokens) - run + 1
        hashes = np.zeros(count, np.uint64)
        for place in range(run):
            hashes = hashes * _BASE + tokens[place : place + count] + np.uint64(1)
        within = document[:count] == document[run - 1 :]
        trained = np.unique(hashes[within & ~held_out[:count]])
        copied = within & held_out[:count] & np.isin(hashes, trained)
        starts = np.flatnonzero(copied)
        for place in range(run):
            clean[window[starts + place]] = False
    return torch.from_numpy(clean)


def for_figures(windows: Windows) -> Bool[Tensor, " N"]:
    """Which windows are of documents that no choice was made by: every second document."""
    return windows.document % 2 == 1
