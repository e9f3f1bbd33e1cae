"""Further meta-SAEs of a lab's SAE, of the open one's width and recipe but for the start.

They are what a figure's spread over seeds is measured with. Each is trained once and kept.
"""

from dataclasses import replace

import torch

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.records import from_values
from metasae.studies.registry import MOST_SEEDS
from metasae.training.config import TrainConfig
from metasae.training.meta_sae import RECIPE, train_meta_sae
from metasae.training.rows import TensorRows


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
    checkpoint = folder.with_name(f"{folder.name}.checkpoint")
    if folder.exists():
        return formats.load(folder)
    directions = TensorRows(lab.decomposition.sae.W_dec)
    made = train_meta_sae(
        directions,
        recipe(lab, seed),
        progress=progress,
        stage=f"Meta-SAE of seed {seed}",
        checkpoint=checkpoint,
        dtype=fast_dtype(),
    )
    formats.save(made, folder, torch.float32)
    checkpoint.unlink(missing_ok=True)
    return made
