"""Bands of activation: half octaves up to four times the median norm of a residual."""

import numpy as np

TOP = 8
"""Strongest windows of a latent that are kept."""

BANDS = 24
"""Bands of activation, half an octave each, up to four times the median norm of a residual."""


def band(activation: np.ndarray, median_norm: float) -> np.ndarray:
    """The band of each activation: half octaves, the last ending at 4 × the median norm."""
    octaves = np.log2(np.maximum(activation, 1e-9) / (4 * median_norm))
    return np.clip(np.floor(2 * octaves) + BANDS, 0, BANDS - 1).astype(np.int64)


def band_start(number: int, median_norm: float) -> float:
    """Where a band begins."""
    return float(4 * median_norm * 2 ** ((number - BANDS) / 2))
