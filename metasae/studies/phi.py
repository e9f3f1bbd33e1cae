"""φ: how far two latents fire on the same tokens.

φ is the correlation of two latents' firing over tokens: of n tokens, a and b on which each fires
and c on which both do, (n·c − a·b) / √(a(n − a)·b(n − b)).

Shapes: N tokens, F latents, P pairs.
"""

import numpy as np
import scipy.sparse as sp
from scipy.stats import hypergeom

_CHUNK = 512
"""Latents whose pairs with all others are held at once."""


def phi(firing: sp.csr_array, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """φ of pairs of latents, (P,); NaN where one fires on no token or on all.

    Args:
        firing: ones, (N, F).
        one, other: the pairs' latents, (P,).
    """
    tokens = firing.shape[0]
    by_latent = sp.csc_array(firing)
    often = np.diff(by_latent.indptr).astype(np.float64)
    both = np.asarray(by_latent[:, one].multiply(by_latent[:, other]).sum(0)).ravel()
    a, b = often[one], often[other]
    with np.errstate(divide="ignore", invalid="ignore"):
        made: np.ndarray = (tokens * both - a * b) / np.sqrt(a * (tokens - a) * b * (tokens - b))
    return np.where(np.isfinite(made), made, np.nan)


def mean_absolute_phi(firing: sp.csr_array) -> float:
    """Mean |φ| over all pairs of latents that fire on some tokens and not on all.

    Most pairs never fire together, and their |φ| is a product of one number for each latent,
    √(a / (n − a)); so only those that do are looked at one by one.
    """
    tokens = firing.shape[0]
    often = np.asarray(firing.sum(0)).ravel().astype(np.float64)
    alive = np.flatnonzero((often > 0) & (often < tokens))
    if len(alive) < 2:
        return float("nan")
    some, a = sp.csr_array(firing[:, alive]).astype(np.float64), often[alive]
    weight = np.sqrt(a / (tokens - a))
    apart = (weight.sum() ** 2 - (weight**2).sum()) / 2
    by_latent, total = sp.csr_array(some.T), apart
    for begin in range(0, len(alive), _CHUNK):
        part = sp.coo_array(by_latent[begin : begin + _CHUNK] @ some)
        above = part.col > part.row + begin
        row, column, both = part.row[above] + begin, part.col[above], part.data[above]
        spread = np.sqrt(a[row] * (tokens - a[row]) * a[column] * (tokens - a[column]))
        found = np.abs(tokens * both - a[row] * a[column]) / spread
        total += float((found - weight[row] * weight[column]).sum())
    return float(total / (len(alive) * (len(alive) - 1) / 2))


def by_chance(firing: sp.csr_array) -> float:
    """What `mean_absolute_phi` is on average when each latent fires as often, on tokens of its own.

    Exactly, for all shuffles of every latent's tokens: two latents then have c tokens in common by
    a hypergeometric law, whose mean absolute deviation is 2 m (n − a − b + m) P(c = m) / n with m
    the first whole number above a·b / n, since x(n − a − b + x) P(x) / n falls by
    (x − a·b / n) P(x) from each x to the next.
    """
    tokens = firing.shape[0]
    counts = np.asarray(firing.sum(0)).ravel().astype(np.int64)
    often, latents = np.unique(counts[(counts > 0) & (counts < tokens)], return_counts=True)
    pairs = latents.sum() * (latents.sum() - 1) / 2
    if not pairs:
        return float("nan")
    total = 0.0
    for number, (a, latents_a) in enumerate(zip(often, latents, strict=True)):
        b, weight = often[number:], latents_a * latents[number:].astype(np.float64)
        weight[0] = latents_a * (latents_a - 1) / 2
        m = a * b // tokens + 1
        deviation = 2 * m * (tokens - a - b + m) * hypergeom.pmf(m, tokens, a, b)
        spread = np.sqrt(float(a * (tokens - a))) * np.sqrt(b * (tokens - b))
        total += float(weight @ (deviation / spread))
    return total / float(pairs)
