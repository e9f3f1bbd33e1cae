"""Directions a base SAE's decoder starts from, balanced over what occurs rather than over tokens.

Rows drawn at random are mostly commas and articles, so a rare name gets no latent. Nearly all
starts are therefore mean residuals of a token together with the few before it (n-grams), of which
the frequent are favoured less than they occur, and near copies of one another are avoided. No
label, list of names or answer is used.

Shapes: N rows, D = d_model, G n-grams, F starts.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.text.windows import Windows
from metasae.training.residuals import Residuals

SHARE = 0.95
"""Share of the starts that are means of n-grams; the others are rows drawn at random."""

LONGEST = 3
"""Most tokens of an n-gram."""

LEAST = 4
"""Times an n-gram must occur: the mean of fewer rows is about one text rather than about it."""

POWER = 0.5
"""An n-gram is drawn in proportion to this power of how often it occurs."""

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
    means, counts = ngram_means(residuals, windows)
    wanted = min(int(SHARE * width), len(means))
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.choice(len(residuals), width - wanted, replace=False))
    means -= residuals.mean
    chosen = spread_out(means, counts.float() ** POWER, wanted, seed)
    return torch.cat([means[chosen], residuals.rows(rows) - residuals.mean])


def ngram_means(
    residuals: Residuals, windows: Windows, longest: int = LONGEST, least: int | None = None
) -> tuple[Float[Tensor, "G D"], Int[Tensor, " G"]]:
    """Mean residual on the last token of every n-gram that occurs often enough, and how often.

    The shortest first. One that occurs just as often as the n-gram without its first token is
    left out: it is the same rows again.

    Args:
        longest: most tokens of one.
        least: times one must occur; `LEAST` when left out.
    """
    least = LEAST if least is None else least
    tokens = windows.tokens.numpy().astype(np.int64)
    _, group = np.unique(residuals.token, return_inverse=True)
    shorter = np.zeros(len(residuals), np.int64)
    means, counts = [], []
    for before in range(longest):
        if before:
            place = residuals.position - before
            token = np.where(place >= 0, tokens[residuals.window, np.maximum(place, 0)], -1)
            _, group = np.unique(group.astype(np.int64) << 32 | token + 1, return_inverse=True)
        count = np.bincount(group)
        new = count >= least
        new[group[count[group] == shorter]] = False
        shorter = count[group]
        means.append(_means(residuals, np.where(new, np.cumsum(new) - 1, -1)[group], new.sum()))
        counts.append(torch.from_numpy(count[new]))
    return torch.cat(means), torch.cat(counts)


def _means(residuals: Residuals, group: np.ndarray, groups: int) -> Float[Tensor, "G D"]:
    """Mean of the rows of every group; rows of group -1 are left out."""
    means = torch.zeros(groups, residuals.resid.shape[1])
    for begin in range(0, len(group), _ROWS):
        index = begin + np.flatnonzero(group[begin : begin + _ROWS] >= 0)
        means.index_add_(0, torch.from_numpy(group[index]), residuals.rows(index))
    counts = np.bincount(group[group >= 0], minlength=groups)
    return means / torch.from_numpy(counts)[:, None]


def spread_out(
    rows: Float[Tensor, "G D"], weight: Float[Tensor, " G"], count: int, seed: int = 0
) -> Int[Tensor, " F"]:
    """Indices of rows that point in different directions: k-means++ on cosine distance.

    Each is drawn in proportion to its weight and to its cosine distance (1 − cosine) from those
    that were drawn before it (https://dl.acm.org/doi/10.5555/1283383.1283494, with weights); a
    block at a time, within which the distances stay.

    Args:
        weight: how much each row is favoured.
        count: how many are drawn, at most as many as there are rows.
    """
    # In half precision: nothing hangs on the last digits of a distance.
    unit = torch.nn.functional.normalize(rows).bfloat16()
    generator = torch.Generator().manual_seed(seed)
    distance = torch.ones(len(rows))
    free = torch.ones(len(rows), dtype=torch.bool)
    chosen: list[Tensor] = []
    left = count
    while left:
        # Where all that are left lie on ones that are drawn, one is as good as the other.
        chance = (weight * distance).clamp(min=torch.finfo(torch.float32).tiny) * free
        drawn = torch.multinomial(chance, min(_BLOCK, left), generator=generator)
        chosen.append(drawn)
        free[drawn] = False
        left -= len(drawn)
        nearest = torch.cat([(part @ unit[drawn].T).amax(1) for part in unit.split(_ROWS)])
        distance = torch.minimum(distance, 1 - nearest.float()).clamp(min=0)
    return torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.int64)
