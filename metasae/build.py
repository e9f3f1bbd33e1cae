"""Making the embedded default: text → residuals → SAEs of all widths → meta-SAE → city tables.

Every stage leaves its result on disk and is skipped when that is there, so a build that was stopped
goes on where it was. The results are what the repository ships, beside the report that says how
they were made and how good they are.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae import assets, autoencoders, batch_topk
from metasae.activations import Activations, collect, fast_dtype
from metasae.autoencoders import SparseAutoencoder
from metasae.batch_topk import TensorRows, TrainConfig, Trainer
from metasae.corpus import Windows, windows
from metasae.model import LanguageModel, load_model
from metasae.presets import Preset
from metasae.progress import Progress, silent

CITY_STARTS = 3
"""Latents of the largest SAE that start from residuals on each city's name: half the cities of the
table would otherwise have no direction near them at the start."""

BASE = TrainConfig(width=18432, k=4, steps=4000)
"""Recipe of the largest SAE; the smaller ones train for fewer steps."""

SMALLER_STEPS = 1500

META = TrainConfig(
    width=864,
    k=4,
    steps=2000,
    selection="batch_topk",
    start="random",
    encoder_scale=1.0,
    lr=1e-3,
    warmup=50,
    auxiliary=1 / 16,
    dead_after=30,
    auxiliary_k=64,
)
"""Recipe of the meta-SAE and of its Gaussian control."""


@dataclass(frozen=True)
class Material:
    """What the SAEs are trained on."""

    model: LanguageModel
    windows: Windows
    activations: Activations

    @property
    def scale(self) -> float:
        """Brings the median norm of a residual to √d_model, where the learning rates were found."""
        return float(self.model.d_model**0.5 / self.activations.median_norm)


def build_folder(preset: Preset) -> Path:
    """Where intermediate results are kept: residuals and checkpoints."""
    return assets.cache_dir() / "build" / preset.name


def material(preset: Preset, progress: Progress = silent) -> Material:
    """The model, the text and the residuals, collected on first use.

    Raises:
        UserError: no network on first use, or no space.
    """
    model = load_model(preset, progress)
    text = windows(model, progress)
    folder = build_folder(preset) / "activations"
    return Material(model, text, collect(model, text, folder, progress))


def start_directions(
    material: Material, config: TrainConfig, city_starts: int
) -> Float[Tensor, "F D"]:
    """Centred residuals to start the decoder from, some of them on the cities' names."""
    acts = material.activations
    draw = np.random.default_rng(config.seed)
    index = draw.choice(len(acts), config.width, replace=False)
    if city_starts:
        on_cities = city_rows(material, city_starts, draw)
        index[: len(on_cities)] = on_cities
    return acts.rows(index) - acts.mean


def city_rows(material: Material, each: int, draw: np.random.Generator) -> np.ndarray:
    """Rows of the residuals that sit on a city's name: some of every city of the table."""
    acts, text = material.activations, material.windows
    city = text.city.numpy()[acts.window]
    on_name = (city >= 0) & (acts.position == text.city_at.numpy()[acts.window])
    rows = np.flatnonzero(on_name)
    rows = rows[np.argsort(city[rows], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(city[rows]) != 0])
    chosen = [draw.choice(part, min(each, len(part)), replace=False)
              for part in np.split(rows, starts[1:])]  # fmt: skip
    return np.concatenate(chosen)


def base_config(width: int, largest: int) -> TrainConfig:
    """Recipe of the SAE of one width."""
    if width == largest:
        return replace(BASE, width=width)
    return replace(BASE, width=width, steps=SMALLER_STEPS)


def train_base(
    material: Material,
    config: TrainConfig,
    city_starts: int,
    checkpoint: Path,
    progress: Progress = silent,
) -> SparseAutoencoder:
    """Train one base SAE on the residuals."""
    acts = material.activations
    trainer = Trainer(
        acts,
        config,
        start_directions(material, config, city_starts),
        acts.mean,
        material.scale,
        fast_dtype(),
    )
    trainer.run(checkpoint, progress=progress, stage=f"SAE of {config.width:,} latents")
    return trainer.result()


def train_meta(
    directions: Float[Tensor, "F D"], config: TrainConfig, progress: Progress, stage: str
) -> SparseAutoencoder:
    """Train a meta-SAE on unit directions and give it its inference threshold."""
    trainer = Trainer(TensorRows(directions), config)
    trainer.run(progress=progress, stage=stage)
    return batch_topk.with_threshold(trainer.result(), directions, config.k)


def gaussian_like(directions: Float[Tensor, "F D"], seed: int = 0) -> Float[Tensor, "F D"]:
    """Random unit directions of the same shape: the control of a meta-SAE's explained variance."""
    rows = torch.randn(directions.shape, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)
