"""What a model's answers lose when single latents are silenced on a name.

Shapes: N latents, T tail positions, A answers.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.prompt_set import PromptSet


def lost_without(
    prompts: PromptSet,
    sae: SparseAutoencoder,
    latents: Sequence[int],
    at: Sequence[int],
    median_norm: float,
) -> Float[Tensor, "N A"]:
    """How much of each answer's log-probability goes with each of some latents, in nats.

    The latent is set to 0 at one position of every prompt; what the SAE does not explain is kept.

    Args:
        at: for each prompt the position (start token counted), such as a name's last token.
        median_norm: of the residual stream at the hook; massive activations are left untouched.
    """
    prepared = prompts.prepare(at)
    touched = prepared.touched(median_norm)
    firing = sae.encode(prepared.resid)[:, list(latents)] * touched[:, None]
    change = -torch.einsum("tn,nd->ntd", firing, sae.W_dec[list(latents)])
    return prepared.baseline - prepared.changed(change)
