"""Directions a base SAE's decoder starts from, balanced over what occurs rather than over tokens.

Rows drawn at random are mostly commas and articles, so a rare name gets no latent. Most starts are
therefore mean residuals of token pairs (a token and the one before it), of which frequent ones are
hardly favoured and near copies of one another are avoided. No label, name list or answer is used.

Shapes: N rows, D = d_model, P pairs, F starts.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.text.windows import Windows
from metasae.training.residuals import Residuals

PAIRS = 0.7
"""Share of the starts that are means of pairs; the others are rows drawn at random."""

LEAST = 4
"""Times a pair must occur: the mean of fewer rows is about one text rather than about the pair."""

POWER = 0.25
"""A pair is drawn in proportion to this power of how often it occurs."""

_BLOCK = 256
"""Starts that are drawn at once, before the distances to them are known."""

_ROWS = 65_536


def start_directions(
    residuals: Residuals, windows: Windows, width: int, seed: int = 0
) -> Float[Tensor, "F D"]:
    """Centred residuals to start a decoder of ``width`` latents from.

    Args:
        windows: the text that the residuals are of.

    Raises:
        ValueError: when there are fewer rows than starts.
    """
    means, counts = pair_means(residuals, windows)
    wanted = min(round(PAIRS * width), len(means))
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.choice(len(residuals), width - wanted, replace=False))
    means -= residuals.mean
    chosen = spread_out(means, counts.float() ** POWER, wanted, seed)
    return torch.cat([means[chosen], residuals.rows(rows) - residuals.mean])


def pair_means(
    residuals: Residuals, windows: Windows, least: int = LEAST
) -> tuple[Float[Tensor, "P D"], Int[Tensor, " P"]]:
    """Mean residual of every pair of tokens that occurs often enough, and how often it does.

    Args:
        least: times a pair must occur.
    """
    before = windows.tokens.numpy()[residuals.window, residuals.position - 1].astype(np.int64)
    pair = before << 32 | residuals.token.astype(np.int64)
    _, number, counts = np.unique(pair, return_inverse=True, return_counts=True)
    often = counts >= least
    place = np.where(often, np.cumsum(often) - 1, -1)[number]
    means = torch.zeros(int(often.sum()), residuals.resid.shape[1])
    for begin in range(0, len(residuals), _ROWS):
        index = np.arange(begin, min(begin + _ROWS, len(residuals)))
        index = index[place[index] >= 0]
        means.index_add_(0, torch.from_numpy(place[index]), residuals.rows(index))
    kept = torch.from_numpy(counts[often])
    return means / kept[:, None], kept


def spread_out(
    rows: Float[Tensor, "P D"], weight: Float[Tensor, " P"], count: int, seed: int = 0
) -> Int[Tensor, " F"]:
    """Indices of rows that point in different directions: k-means++ on cosine distance.

    Each is drawn in proportion to its weight and to its cosine distance (1 − cosine) from those
    that were drawn before it (https://dl.acm.org/doi/10.5555/1283383.1283494, with weights); a
    block at a time, within which the distances stay.

    Args:
        weight: how much each row is favoured.
        count: how many are drawn, at most as many as there are rows.
    """
    unit = torch.nn.functional.normalize(rows)
    generator = torch.Generator().manual_seed(seed)
    distance = torch.ones(len(rows))
    chosen: list[Tensor] = []
    left = count
    while left:
        chance = weight * distance
        # Where all that are left lie on ones that are drawn, one is as good as the other.
        chance = torch.where(chance > 0, chance, torch.finfo(torch.float32).tiny)
        chance[torch.cat(chosen) if chosen else []] = 0
        drawn = torch.multinomial(chance, min(_BLOCK, left), generator=generator)
        chosen.append(drawn)
        left -= len(drawn)
        nearest = torch.cat([(part @ unit[drawn].T).amax(1) for part in unit.split(_ROWS)])
        distance = torch.minimum(distance, (1 - nearest).clamp(min=0))
    return torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.int64)
