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

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.progress import Progress, silent
from metasae.release.recipe import Recipe
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.presets import Preset
from metasae.training import explained
from metasae.training.base_sae import TrainingText
from metasae.training.config import TrainConfig
from metasae.training.controls import gaussian_like
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows

LEFT_OUT = 10
"""Every so manieth direction is left out of one training, and explained by it afterwards."""


def meta_controls(
    preset: Preset,
    largest: SparseAutoencoder,
    text: Callable[[], TrainingText],
    recipe: Recipe,
    progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """L0, explained variance (fve) and the same around the mean (fve_centred) of each control.

    Args:
        text: what the SAEs were trained on, opened only if a control has to be trained.
    """
    config = recipe.of_meta(preset)
    decoder = largest.W_dec
    gaussian = gaussian_like(decoder)
    last = torch.arange(len(decoder)) % LEFT_OUT == LEFT_OUT - 1

    def trained(name: str, rows: Callable[[], Tensor], about: bytes = b"") -> SparseAutoencoder:
        return _trained(preset, config, name, rows, about, progress)

    on_gaussian = trained("Gaussian rows", lambda: gaussian)
    on_others = trained("all but some directions", lambda: decoder[~last], _bytes(decoder))
    residuals = residual_directions(text(), len(decoder))
    on_residuals = trained("residuals", lambda: residuals, _bytes(residuals))
    return {
        "gaussian": _quality(on_gaussian, gaussian),
        "residuals": _quality(on_residuals, residuals),
        "left_out": _quality(on_others, decoder[last]),
    }


def residual_directions(text: TrainingText, count: int, seed: int = 1) -> Float[Tensor, "N D"]:
    """Unit directions of some centred residuals, drawn by seed."""
    acts = text.activations
    drawn = np.random.default_rng(seed).choice(len(acts), min(count, len(acts)), replace=False)
    return torch.nn.functional.normalize(acts.rows(np.sort(drawn)) - acts.mean)


def _bytes(rows: Tensor) -> bytes:
    return rows.numpy().tobytes()


def _quality(sae: SparseAutoencoder, rows: Tensor) -> dict[str, float]:
    quality = explained.quality(sae, rows)
    return {"l0": quality.l0, "fve": quality.fve, "fve_centred": quality.fve_centred}


def _trained(
    preset: Preset,
    config: TrainConfig,
    name: str,
    rows: Callable[[], Tensor],
    about: bytes,
    progress: Progress,
) -> SparseAutoencoder:
    """The control's meta-SAE, kept with the intermediate results: nobody edits with it.

    Args:
        about: what the rows are of, where the configuration does not say it.
    """
    written = json.dumps(asdict(config), sort_keys=True).encode()
    digest = hashlib.sha256(written + about).hexdigest()[:12]
    folder = cache.build(preset.kept_as) / f"control-{name.split()[0].lower()}-{digest}"
    if not folder.exists():
        made = train_meta_sae(
            TensorRows(rows()), config, progress=progress, stage=f"Control on {name}"
        )
        formats.save(made, folder)
    return formats.load(folder)
