"""Further meta-SAEs of a lab, of the open one's width and recipe; each is trained once and kept.

Those of the same SAE from another start are what a figure's spread over seeds is measured with;
the one of the SAEs of all widths is what latents of different widths are compared by.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions
from metasae.sources import cache
from metasae.sources.records import from_values
from metasae.studies.registry import MOST_SEEDS
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE, train_meta_sae
from metasae.training.rows import Rows, TensorRows


def recipe(lab: Lab, seed: int) -> TrainConfig:
    """How the meta-SAE of a seed is trained: as the open one, where its notes say how."""
    meta = lab.decomposition.meta
    try:
        made = from_values(TrainConfig, meta.metadata["training"])
    except (KeyError, ValueError, TypeError):  # of another trainer, or not noted
        made = RECIPE
    batch = min(made.batch, lab.n_latents)
    return replace(made, width=meta.width, batch=batch, start="random", seed=seed)


def meta_saes(lab: Lab, count: int, progress: Progress = silent) -> tuple[SparseAutoencoder, ...]:
    """The meta-SAEs beside the open one, so that there are ``count`` in all.

    Raises:
        UserError: for a count outside 1 to `MOST_SEEDS`, or one that is kept but damaged.
    """
    if not 1 <= count <= MOST_SEEDS:
        raise UserError(f"{count} seeds; give a number from 1 to {MOST_SEEDS}.")
    noted = lab.decomposition.meta.metadata.get("training")
    own = noted.get("seed", 0) if isinstance(noted, dict) else 0
    others = [seed for seed in range(count) if seed != own][: count - 1]
    return tuple(_meta_sae(lab, seed, progress) for seed in others)


def _meta_sae(lab: Lab, seed: int, progress: Progress) -> SparseAutoencoder:
    folder = cache.seeded_meta_sae(lab.preset.kept_as, lab.provenance.meta_sae, seed)
    directions = TensorRows(lab.decomposition.sae.W_dec)
    return _kept(folder, directions, recipe(lab, seed), f"Meta-SAE of seed {seed}", progress)


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
    return _kept(folder, decoders, made, f"Meta-SAE of all widths, seed {seed}", progress)


def _kept(
    folder: Path, directions: Rows, recipe: TrainConfig, stage: str, progress: Progress
) -> SparseAutoencoder:
    """The meta-SAE in a folder, trained where there is none."""
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
