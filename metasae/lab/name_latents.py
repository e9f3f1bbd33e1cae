"""Activations of latents on names: the mean over varied contexts, on the name's last token.

Shapes: N names, F latents, P prompts, D = d_model.
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
from metasae.text.prompts import NAME_CONTEXTS, fill


def activation_table(
    model: LanguageModel,
    sae: SparseAutoencoder,
    names: Sequence[str],
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "N F"]:
    """Mean activation of every latent on every name, over `NAME_CONTEXTS`."""
    table = torch.zeros(len(names), sae.width)
    for number, name in enumerate(names):
        prompts = [fill(template, name) for template in NAME_CONTEXTS]
        resid = residuals_on_names(model, prompts, name)
        usable = not_massive(resid.norm(dim=1), median_norm)
        if usable.any():
            table[number] = sae.encode(resid[usable]).mean(0)
        progress("Looking for the names' latents", (number + 1) / len(names), name)
    return table


def residuals_on_names(
    model: LanguageModel, prompts: Sequence[str], name: str
) -> Float[Tensor, "P D"]:
    """Residual stream at the hook on the name's last token, one row a prompt."""
    rows = [model.prompt_tokens(prompt) for prompt in prompts]
    at = [name_position(model, prompt, name) for prompt in prompts]
    resid = model.residual(padded(rows, model.start_token))
    return resid[torch.arange(len(rows)), torch.tensor(at)]
