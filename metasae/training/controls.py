"""Controls of a meta-SAE: what its explained variance is compared with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.progress import Progress
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import Rows, TensorRows, parts_of, width_of
from metasae.training.trainer import Watch

APART = 2**31
"""Added to a control's seed: a training of the same seed draws from the same stream of numbers, and
would start from the very rows it is to explain. (Seeds are below it; torch reads 32 bits of one.)
"""


def gaussian_like(directions: Float[Tensor, "N D"], seed: int = 0) -> Float[Tensor, "N D"]:
    """Random unit directions, of the same shape as some given ones.

    Args:
        seed: of the draw; no training's start of any seed is drawn from the same stream.
    """
    rows = torch.randn(directions.shape, generator=torch.Generator().manual_seed(APART + seed))
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


@dataclass(frozen=True)
class Run:
    """How a control is trained, beside its configuration.

    Attributes:
        checkpoint: file that is written now and then, and that the training goes on from.
        dtype: precision of the product that finds the candidates: the meta-SAE's own.
        watch: called after every step; stops the training by returning True.
    """

    progress: Progress
    checkpoint: Path
    dtype: torch.dtype
    watch: Watch | None = None


Control = Callable[[Rows, TrainConfig, Run], dict[str, float]]
"""``control(directions, config, run)``: L0 and explained variance (fve).

Raises `trainer.Stopped` when its ``watch`` stopped it; the checkpoint is written.
"""


def _trained(rows: Rows, config: TrainConfig, stage: str, run: Run) -> dict[str, float]:
    config = replace(config, start="random")
    meta = train_meta_sae(
        rows, config, progress=run.progress, stage=stage, checkpoint=run.checkpoint,
        dtype=run.dtype, watch=run.watch,
    )  # fmt: skip
    quality = explained.quality(meta, rows)
    return {"l0": quality.l0, "fve": quality.fve}


def _gaussian(directions: Rows, config: TrainConfig, run: Run) -> dict[str, float]:
    shape = torch.empty(len(directions), width_of(directions))
    rows = TensorRows(gaussian_like(shape, config.seed))
    return _trained(rows, config, "Control on Gaussian rows", run)


def _random_decoder(directions: Rows, config: TrainConfig, run: Run) -> dict[str, float]:
    config = replace(config, train_decoder=False)
    return _trained(directions, config, "Control with a random decoder", run)


def _pca(directions: Rows, config: TrainConfig, run: Run) -> dict[str, float]:
    return principal_components(directions, config.k)


CONTROLS: dict[str, Control] = {"gaussian": _gaussian, "pca": _pca, "random": _random_decoder}
"""By name, each at the meta-SAE's k: the same training on Gaussian rows of the same shape; the k
largest principal coefficients of each direction; the same training with a fixed random decoder."""

TRAINED = frozenset(CONTROLS) - {"pca"}
"""Those that cost a training of their own."""
