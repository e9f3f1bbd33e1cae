"""A meta-SAE whose decoder is random and stays so, trained the same way otherwise.

Sparse autoencoders with frozen random decoders have matched trained ones on causal edits, so a
score of learned pieces says nothing without it.
"""

from dataclasses import replace

from metasae.lab.lab import Lab
from metasae.progress import Progress
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.studies.kept_meta_saes import kept, recipe
from metasae.training.rows import TensorRows


def random_meta_sae(lab: Lab, seed: int, progress: Progress) -> SparseAutoencoder:
    """The meta-SAE of the open one's width and recipe with a frozen random decoder; kept.

    Raises:
        UserError: for one that is kept but damaged.
    """
    made_of = f"{lab.provenance.meta_sae}-random-decoder"
    folder = cache.seeded_meta_sae(lab.preset.kept_as, made_of, seed)
    directions = TensorRows(lab.decomposition.sae.W_dec)
    config = replace(recipe(lab, seed), train_decoder=False)
    return kept(
        folder, directions, config, f"Meta-SAE with a random decoder, seed {seed}", progress
    )
