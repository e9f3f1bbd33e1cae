"""Meta-SAEs by the recipe of a lab's own, trained once and kept; one of all widths together."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from metasae.lab.lab import Lab
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions
from metasae.sources import cache
from metasae.sources.records import from_values
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE, train_meta_sae
from metasae.training.rows import Rows


def recipe(lab: Lab, seed: int) -> TrainConfig:
    """How the meta-SAE of a seed is trained: as the open one, where its notes say how."""
    meta = lab.decomposition.meta
    try:
        made = from_values(TrainConfig, meta.metadata["training"])
    except (KeyError, ValueError, TypeError):  # of another trainer, or not noted
        made = RECIPE
    batch = min(made.batch, lab.n_latents)
    return replace(made, width=meta.width, batch=batch, start="random", seed=seed)


def of_all_widths(
    lab: Lab, saes: Sequence[SparseAutoencoder], seed: int, progress: Progress = silent
) -> SparseAutoencoder:
    """One meta-SAE of several SAEs' decoders, one after the other, as in the post.

    Every direction counts once, so a width counts by its number of latents: where each is twice the
    one before, half of what is trained on is the widest SAE.

    Args:
        saes: of all widths.

    Raises:
        UserError: as `train_meta_sae`, or when the one that is kept is damaged.
    """
    decoders = Directions(
        tuple(f"{one.width:,} latents" for one in saes), tuple(one.W_dec for one in saes)
    )
    made = recipe(lab, seed)
    digest = hashlib.sha256()
    for part in decoders.parts:
        digest.update(part.numpy().tobytes())
    folder = cache.meta_sae_of_all_widths(
        lab.preset.kept_as, lab.provenance.meta_sae, digest.hexdigest()[:12], seed
    )
    made = replace(made, batch=min(made.batch, len(decoders)))
    return kept(folder, decoders, made, f"Meta-SAE of all widths, seed {seed}", progress)


def kept(
    folder: Path, directions: Rows, recipe: TrainConfig, stage: str, progress: Progress
) -> SparseAutoencoder:
    """The meta-SAE in a folder, trained where there is none.

    Raises:
        UserError: as `train_meta_sae`, or when the one that is kept is damaged.
    """
    if folder.exists():
        return formats.load(folder)
    checkpoint = folder.with_name(f"{folder.name}.checkpoint")
    made = train_meta_sae(
        directions, recipe, progress=progress, stage=stage, checkpoint=checkpoint,
        dtype=fast_dtype(),
    )  # fmt: skip
    formats.save(made, folder, torch.float32)
    checkpoint.unlink(missing_ok=True)
    return made
