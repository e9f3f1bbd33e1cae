"""Further meta-SAEs of a lab's SAE, of the open one's width and recipe but for the start.

They are what a figure's spread over seeds is measured with. Each is trained once and kept.
"""

from pathlib import Path

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.studies.kept_meta_saes import kept, recipe
from metasae.studies.registry import MOST_SEEDS
from metasae.training.rows import TensorRows


def meta_saes(lab: Lab, count: int, progress: Progress = silent) -> tuple[SparseAutoencoder, ...]:
    """The meta-SAEs beside the open one, so that there are ``count`` in all.

    Raises:
        UserError: for a count outside 1 to `MOST_SEEDS`, or one that is kept but damaged.
    """
    if not 1 <= count <= MOST_SEEDS:
        raise UserError(f"{count} seeds; give a number from 1 to {MOST_SEEDS}.")
    return tuple(_meta_sae(lab, seed, progress) for seed in _others(lab, count))


def missing(lab: Lab, count: int) -> int:
    """How many of the meta-SAEs beside the open one are still to be trained."""
    return sum(not _folder(lab, seed).exists() for seed in _others(lab, count))


def _others(lab: Lab, count: int) -> list[int]:
    noted = lab.decomposition.meta.metadata.get("training")
    own = noted.get("seed", 0) if isinstance(noted, dict) else 0
    return [seed for seed in range(count) if seed != own][: count - 1]


def _folder(lab: Lab, seed: int) -> Path:
    return cache.seeded_meta_sae(lab.preset.kept_as, lab.provenance.meta_sae, seed)


def _meta_sae(lab: Lab, seed: int, progress: Progress) -> SparseAutoencoder:
    directions = TensorRows(lab.decomposition.sae.W_dec)
    stage = f"Meta-SAE of seed {seed}"
    return kept(_folder(lab, seed), directions, recipe(lab, seed), stage, progress)
