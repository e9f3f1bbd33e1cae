"""What the shipped meta-SAE's explained variance stands between: the same training on other rows.

Below are Gaussian rows, which have no structure. Above are centred residuals themselves, which no
SAE made: a decoder that was started from data and explained as well as they are is explained by
the structure of the data, not by its latents being composites. Beside both are directions of the
decoder that were left out of the training.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.progress import Progress, silent
from metasae.release.recipe import Recipe
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.files import read_json
from metasae.sources.presets import Preset
from metasae.training import explained
from metasae.training.base_sae import TrainingText
from metasae.training.controls import gaussian_like
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows

Rows = tuple[Tensor, Tensor]
"""Rows that are trained on, and rows that are explained afterwards."""

LEFT_OUT = 10
"""Every so manieth direction is left out of one training, and explained by it afterwards."""


def meta_controls(
    preset: Preset,
    largest: SparseAutoencoder,
    text: Callable[[], TrainingText],
    about_text: Any,
    recipe: Recipe,
    progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """L0, explained variance (fve) and the same around the mean (fve_centred) of each control.

    Each is trained once and kept with the intermediate results: nobody edits with it.

    Args:
        text: what the SAEs were trained on, read only if a control has to be trained on it.
        about_text: JSON-able values that tell that text from others.
    """
    config = recipe.of_meta(preset)
    decoder = largest.W_dec
    last = torch.arange(len(decoder)) % LEFT_OUT == LEFT_OUT - 1
    about_decoder = hashlib.sha256(decoder.numpy().tobytes()).hexdigest()

    def residuals() -> Rows:
        rows = residual_directions(text(), len(decoder))
        return rows, rows

    kinds: dict[str, tuple[str, Any, Callable[[], Rows]]] = {
        "gaussian": ("Gaussian rows", "apart", lambda: (gaussian_like(decoder),) * 2),
        "residuals": ("residuals", about_text, residuals),
        "left_out": ("some directions", about_decoder, lambda: (decoder[~last], decoder[last])),
    }
    measured = {}
    for name, (stage, about, rows) in kinds.items():
        written = json.dumps([asdict(config), len(decoder), about], sort_keys=True)
        digest = hashlib.sha256(written.encode()).hexdigest()[:12]
        folder = cache.build(preset.kept_as) / f"control-{name}-{digest}"
        if not (folder / formats.REPORT).exists():
            trained_on, explains = rows()
            made = train_meta_sae(
                TensorRows(trained_on), config, progress=progress, stage=f"Control on {stage}"
            )
            quality = explained.quality(made, explains)
            kept = {"l0": quality.l0, "fve": quality.fve, "fve_centred": quality.fve_centred}
            formats.save(made, folder, report=kept)
        measured[name] = read_json(folder / formats.REPORT)
    return measured


def residual_directions(text: TrainingText, count: int, seed: int = 1) -> Float[Tensor, "N D"]:
    """Unit directions of some centred residuals, drawn by seed."""
    acts = text.activations
    drawn = np.random.default_rng(seed).choice(len(acts), min(count, len(acts)), replace=False)
    return torch.nn.functional.normalize(acts.rows(np.sort(drawn)) - acts.mean)
