"""How one SAE is trained."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from metasae.errors import UserError

if TYPE_CHECKING:
    from metasae.saes.autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class TrainConfig:
    """How one SAE is trained.

    Attributes:
        width: number of latents.
        k: active latents a row at the end, on average; exactly k when ``selection`` is "topk".
        steps: number of optimiser steps.
        batch: rows a step.
        selection: the k largest of every row, or the k·B largest of a batch of B rows.
        first_k: the first steps have this many times k active latents a row, which fall to k; with
            2 a meta-SAE explains more in the end than with 1.
        settled: share of the steps over which they fall.
        start: decoder rows from what occurs in a text ("ngrams", see `starts`), from given
            directions or rows of the data, random ones, or all weights from an existing SAE.
        encoder_scale: the encoder starts as this many times the decoder.
        lr: learning rate at its highest.
        betas: Adam's decay rates of its moments.
        warmup: steps over which the learning rate rises linearly.
        decay: share of the steps, at the end, over which it falls linearly to zero.
        auxiliary: weight of the auxiliary loss, in which dead latents explain the residual.
        dead_after: steps without an activation after which a latent counts as dead.
        auxiliary_k: most dead latents a row that take part in the auxiliary loss.
        seed: of the start and of the order of the rows.
        train_decoder: false leaves the decoder as it starts.
    """

    width: int
    k: int
    steps: int
    batch: int = 4096
    selection: Literal["topk", "batch_topk"] = "topk"
    first_k: float = 1.0
    settled: float = 0.6
    start: Literal["ngrams", "data", "random", "sae"] = "data"
    encoder_scale: float = 0.4
    lr: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 100
    decay: float = 0.2
    auxiliary: float = 1 / 32
    dead_after: int = 800
    auxiliary_k: int = 256
    seed: int = 0
    train_decoder: bool = True

    def active(self, step: int) -> int:
        """Active latents a row, on average, at a step."""
        left = max(0.0, 1 - step / max(1.0, self.settled * self.steps))
        return min(self.width, round(self.k * (1 + (self.first_k - 1) * left)))

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        rising = (step + 1) / max(1, self.warmup)
        falling = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, rising, falling)


def check_config(config: TrainConfig, rows: int, what: str, latents: str = "latents") -> None:
    """Refuse a configuration that nothing can be trained with, or not on so many rows.

    Args:
        rows: how many there are.
        what: says so in the error, such as "There are 12 tokens".
        latents: what the error calls the latents.

    Raises:
        UserError: for a width, k, number of steps or batch below 1, a learning rate that is not
            positive, a ``first_k`` below 1, a k above the width, or fewer rows than latents.
    """
    for name in ("width", "k", "steps", "batch"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} is {getattr(config, name)}; it must be at least 1.")
    if not 0 < config.lr < math.inf:
        raise UserError(f"The learning rate is {config.lr}; it must be above 0, such as 1e-3.")
    if not 1 <= config.first_k < math.inf:
        raise UserError(
            f"The training would begin with {config.first_k} times k; it must be 1 or more."
        )
    if rows < config.width:
        raise UserError(
            f"{what}, fewer than the {config.width:,} {latents}; choose a width of at most {rows:,}"
            " or give more to train on."
        )
    if config.k > config.width:
        raise UserError(
            f"k is {config.k:,}, more than the {config.width:,} {latents} there are; choose a "
            "smaller k."
        )


def check_initial(config: TrainConfig, initial: "SparseAutoencoder | None", d_in: int) -> None:
    """Refuse to start from an SAE of another size, or from none where one is needed.

    Args:
        d_in: width of the rows that are trained on.

    Raises:
        UserError: for either.
    """
    if initial is None:
        if config.start == "sae":
            raise UserError(
                "The training is to start from an SAE, but none is named; give it, or choose "
                "another start."
            )
        return
    if (initial.d_in, initial.width) != (d_in, config.width):
        raise UserError(
            f"The SAE to start from has {initial.width:,} latents of width {initial.d_in}; it must "
            f"have {config.width:,} of width {d_in}."
        )
