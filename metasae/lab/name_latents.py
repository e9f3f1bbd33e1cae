"""Activations of latents on names: their means over neutral contexts, on a name's last token.

Shapes: C names, F latents, P prompts, D = d_model.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel, padded
from metasae.lm.names import name_position
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.text.prompts import in_contexts


def activations_on(
    model: LanguageModel, sae: SparseAutoencoder, name: str, median_norm: float
) -> Float[Tensor, " F"]:
    """Mean activation of every latent on a name, over `NAME_CONTEXTS`."""
    return mean_activations(sae, residuals_on_names(model, in_contexts(name), name), median_norm)


def mean_activations(
    sae: SparseAutoencoder, resid: Float[Tensor, "P D"], median_norm: float
) -> Float[Tensor, " F"]:
    """Mean activation of every latent over some residuals, massive ones left out."""
    usable = not_massive(resid.norm(dim=1), median_norm)
    return sae.encode(resid[usable]).mean(0) if usable.any() else torch.zeros(sae.width)


def activation_table(
    model: LanguageModel,
    sae: SparseAutoencoder,
    names: Sequence[str],
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "C F"]:
    """Mean activation of every latent on every name."""
    every = residual_table(model, names, progress)
    return torch.stack([mean_activations(sae, resid, median_norm) for resid in every])


def residual_table(
    model: LanguageModel, names: Sequence[str], progress: Progress = silent
) -> Float[Tensor, "C P D"]:
    """Residual stream at the hook on every name, over `NAME_CONTEXTS`."""
    found = []
    for number, name in enumerate(names):
        found.append(residuals_on_names(model, in_contexts(name), name))
        progress("Looking for the names' latents", (number + 1) / len(names), name)
    return torch.stack(found)


def residuals_on_names(
    model: LanguageModel, prompts: Sequence[str], name: str
) -> Float[Tensor, "P D"]:
    """Residual stream at the hook on the name's last token, one row a prompt."""
    rows = [model.prompt_tokens(prompt) for prompt in prompts]
    at = [name_position(model, prompt, name) for prompt in prompts]
    resid = model.residual(padded(rows, model.start_token))
    return resid[torch.arange(len(rows)), torch.tensor(at)]


def selectivity(table: Float[Tensor, "C F"]) -> Float[Tensor, "C F"]:
    """Each name's share of a latent's activation over all names of a table."""
    return table / table.sum(0).clamp(min=1e-9)
