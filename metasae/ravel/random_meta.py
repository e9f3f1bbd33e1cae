"""A meta-SAE whose decoder is random and stays so, trained the same way otherwise.

Sparse autoencoders with frozen random decoders have matched trained ones on causal edits, so a
score of learned pieces says nothing without it.
"""

from dataclasses import replace

import torch

from metasae.lab.lab import Lab
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.studies.seeds import recipe
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows


def random_meta_sae(lab: Lab, seed: int, progress: Progress) -> SparseAutoencoder:
    """The meta-SAE of the open one's width and recipe with a frozen random decoder; kept.

    Raises:
        UserError: for one that is kept but damaged.
    """
    made_of = f"{lab.provenance.meta_sae}-random-decoder"
    folder = cache.seeded_meta_sae(lab.preset.kept_as, made_of, seed)
    if folder.exists():
        return formats.load(folder)
    checkpoint = folder.with_name(f"{folder.name}.checkpoint")
    made = train_meta_sae(
        TensorRows(lab.decomposition.sae.W_dec),
        replace(recipe(lab, seed), train_decoder=False),
        progress=progress,
        stage=f"Meta-SAE with a random decoder, seed {seed}",
        checkpoint=checkpoint,
        dtype=fast_dtype(),
    )
    formats.save(made, folder, torch.float32)
    checkpoint.unlink(missing_ok=True)
    return made
