"""Controls of a meta-SAE: what its explained variance is compared with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import Rows, TensorRows, parts_of, width_of


def gaussian_like(directions: Float[Tensor, "N D"], seed: int = 0) -> Float[Tensor, "N D"]:
    """Random unit directions, of the same shape as some given ones."""
    rows = torch.randn(directions.shape, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


@torch.no_grad()
def principal_components(directions: Rows, k: int) -> dict[str, float]:
    """L0 and variance explained when each direction keeps its k largest principal coefficients.

    The D components are uncentred, as the meta-SAE's explained variance is.
    """
    width = width_of(directions)
    second = torch.zeros(width, width, dtype=torch.float64)
    for part in parts_of(directions):
        second += (part.T @ part).double()
    axes = torch.linalg.eigh(second).eigenvectors.float()
    kept = sum(
        float((part @ axes).square().topk(min(k, width), dim=1).values.double().sum())
        for part in parts_of(directions)
    )
    return {"l0": float(min(k, width)), "fve": kept / float(second.trace())}


Control = Callable[[Rows, TrainConfig, Progress, Path], dict[str, float]]
"""``control(directions, config, progress, checkpoint)``: L0 and explained variance (fve)."""


def _trained(
    rows: Rows, config: TrainConfig, progress: Progress, stage: str, checkpoint: Path
) -> dict[str, float]:
    config = replace(config, start="random")
    meta = train_meta_sae(rows, config, progress, stage, None, checkpoint, fast_dtype())
    quality = explained.quality(meta, rows)
    return {"l0": quality.l0, "fve": quality.fve}


def _gaussian(
    directions: Rows, config: TrainConfig, progress: Progress, checkpoint: Path
) -> dict[str, float]:
    shape = torch.empty(len(directions), width_of(directions))
    rows = TensorRows(gaussian_like(shape, config.seed))
    return _trained(rows, config, progress, "Control on Gaussian rows", checkpoint)


def _random_decoder(
    directions: Rows, config: TrainConfig, progress: Progress, checkpoint: Path
) -> dict[str, float]:
    config = replace(config, train_decoder=False)
    return _trained(directions, config, progress, "Control with a random decoder", checkpoint)


def _pca(
    directions: Rows, config: TrainConfig, progress: Progress, checkpoint: Path
) -> dict[str, float]:
    return principal_components(directions, config.k)


CONTROLS: dict[str, Control] = {"gaussian": _gaussian, "pca": _pca, "random": _random_decoder}
"""By name, each at the meta-SAE's k: the same training on Gaussian rows of the same shape; the k
largest principal coefficients of each direction; the same training with a fixed random decoder."""
