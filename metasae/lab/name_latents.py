"""Activations of latents on names, and how selective they are: which fire on one name alone.

The name is put into varied contexts, and a latent counts for it by its mean activation on the
name's last token, and by that activation's share of the same over all names (its selectivity).

Shapes: C cities, F latents, P prompts, D = d_model.
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
from metasae.text.cities import City
from metasae.text.prompts import NAME_CONTEXTS, fill


def activation_table(
    model: LanguageModel,
    sae: SparseAutoencoder,
    cities: Sequence[City],
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "C F"]:
    """Mean activation of every latent on every city's name, over `NAME_CONTEXTS`."""
    table = torch.zeros(len(cities), sae.width)
    for number, city in enumerate(cities):
        prompts = [fill(template, city.name) for template in NAME_CONTEXTS]
        resid = residuals_on_names(model, prompts, city.name)
        usable = not_massive(resid.norm(dim=1), median_norm)
        if usable.any():
            table[number] = sae.encode(resid[usable]).mean(0)
        progress("Looking for the cities' latents", (number + 1) / len(cities), city.name)
    return table


def residuals_on_names(
    model: LanguageModel, prompts: Sequence[str], name: str
) -> Float[Tensor, "P D"]:
    """Residual stream at the hook on the name's last token, one row a prompt."""
    rows = [model.prompt_tokens(prompt) for prompt in prompts]
    at = [name_position(model, prompt, name) for prompt in prompts]
    resid = model.residual(padded(rows, model.start_token))
    return resid[torch.arange(len(rows)), torch.tensor(at)]


def selectivity(table: Float[Tensor, "C F"]) -> Float[Tensor, "C F"]:
    """Each city's share of a latent's activation over all cities."""
    return table / table.sum(0).clamp(min=1e-9)
