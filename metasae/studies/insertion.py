"""What one latent of an SAE does to another SAE's error when it is added to its reconstruction.

With r what the other SAE leaves of a row, and a the latent's activation on it, the squared error
changes by Σ (‖r − a d‖² − ‖r‖²) = ‖d‖² Σ a² − 2 d · Σ a r over all rows. The other SAE's own
activations stay what they are: it doesn't encode the row anew in the light of the addition.

Shapes: N rows, F latents, D = d_model.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float
from scipy.stats import rankdata

from metasae.studies.study import RESAMPLED


def effects(
    acts: sp.csr_array, left: Float[np.ndarray, "N D"], directions: Float[np.ndarray, "F D"]
) -> Float[np.ndarray, " F"]:
    """Change of the summed squared error when each latent alone is added.

    Args:
        acts: of the latents, (N, F).
        left: what the other SAE leaves of the rows.
        directions: of the latents.
    """
    against = acts.T @ left
    squares = np.asarray(acts.multiply(acts).sum(0, dtype=np.float64)).ravel()
    lengths = np.einsum("fd,fd->f", directions, directions, dtype=np.float64)
    along = np.einsum("fd,fd->f", against, directions, dtype=np.float64)
    changed: np.ndarray = squares * lengths - 2 * along
    return changed


def area(scores: np.ndarray, hits: np.ndarray) -> float:
    """Area under the ROC curve: how often a hit has the larger score than a miss; ties a half.

    NaN when there are only hits or only misses. (The statistic of Mann and Whitney, scaled.)
    """
    yes = int(hits.sum())
    no = len(hits) - yes
    if not yes or not no:
        return float("nan")
    return float((rankdata(scores)[hits].sum() - yes * (yes + 1) / 2) / (yes * no))


def area_with_intervals(scores: np.ndarray, hits: np.ndarray, seed: int) -> dict[str, float]:
    """The area with its interval over latents, and the range it has when hits are shuffled.

    Returns:
        value, low, high (the middle 95 % when latents are drawn again), shuffled_low and
        shuffled_high (the same of areas after shuffling which latents are hits).
    """
    draw, drawn, shuffled = np.random.default_rng(seed), [], []
    for _ in range(RESAMPLED):
        some = draw.integers(0, len(scores), len(scores))
        drawn.append(area(scores[some], hits[some]))
        shuffled.append(area(scores, draw.permutation(hits)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    shuffled_low, shuffled_high = np.quantile(shuffled, [0.025, 0.975])
    return {
        "value": area(scores, hits), "low": float(low), "high": float(high),
        "shuffled_low": float(shuffled_low), "shuffled_high": float(shuffled_high),
    }  # fmt: skip


def curve(scores: np.ndarray, hits: np.ndarray, points: int = 200) -> pd.DataFrame:
    """The ROC curve: columns score, misses_taken, hits_taken.

    Taken are all whose score is at least ``score``; shares of the misses and of the hits.

    Args:
        points: about how many are kept, spread evenly; latents of equal score come together.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores, sorted_hits = scores[order], hits[order]
    ends = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
    kept = ends[
        np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).round().astype(int))
    ]
    taken, hit = kept + 1, np.cumsum(sorted_hits)[kept]
    yes = int(hits.sum())
    rows = pd.DataFrame(
        {
            "score": sorted_scores[kept],
            "misses_taken": (taken - hit) / max(1, len(hits) - yes),
            "hits_taken": hit / max(1, yes),
        }
    )
    none = pd.DataFrame({"score": [np.inf], "misses_taken": [0.0], "hits_taken": [0.0]})
    return pd.concat([none, rows], ignore_index=True)
