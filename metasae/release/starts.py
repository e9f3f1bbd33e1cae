"""Directions that the embedded default's SAEs and its meta-SAE start from."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lab.name_latents import activation_table, selectivity
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.text.cities import load_cities
from metasae.training.base_sae import TrainingText
from metasae.training.config import TrainConfig

NEAR_A_CITY = 0.5
"""Cosine to a city's mean residual above which a residual is no start for another latent."""


def start_directions(
    material: TrainingText, config: TrainConfig, city_starts: bool
) -> Float[Tensor, "F D"]:
    """Centred residuals to start the decoder from.

    With ``city_starts`` the first is what the names of all cities have in common, then comes what
    each city adds to it, and no other start is close to a city as long as there are enough that
    are not: a latent that starts on the name of one city in one text would hold both.
    """
    acts = material.activations
    draw = np.random.default_rng(config.seed)
    if not city_starts:
        drawn = np.sort(draw.choice(len(acts), config.width, replace=False))
        return acts.rows(drawn) - acts.mean
    cities = city_means(material) - acts.mean
    common = cities.mean(0, keepdim=True)
    rows = acts.rows(np.sort(draw.choice(len(acts), 2 * config.width, replace=False))) - acts.mean
    closest = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(cities).T
    near = closest.amax(1) >= NEAR_A_CITY
    # Those near a city come last, for a text that has too few others.
    return torch.cat([common, cities - common, rows[~near], rows[near]])[: config.width]


def city_means(material: TrainingText, most: int = 256) -> Float[Tensor, "C D"]:
    """Mean residual on the name of every city that occurs in the training text.

    Args:
        most: occurrences of a city that are looked at.
    """
    acts, text = material.activations, material.windows
    city = text.city.numpy()[acts.window]
    on_name = (city >= 0) & (acts.position == text.city_at.numpy()[acts.window])
    rows = np.flatnonzero(on_name)
    rows = rows[np.argsort(city[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(city[rows])) + 1)
    return torch.stack([acts.rows(part[:most]).mean(0) for part in parts])


def country_directions(
    model: LanguageModel,
    sae: SparseAutoencoder,
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "C D"]:
    """Per country what the directions of its cities' best latents add to all cities' mean."""
    cities = load_cities()
    names = [city.name for city in cities]
    table = activation_table(model, sae, names, median_norm, progress)
    rows = sae.W_dec[(table * selectivity(table)).argmax(1)]
    countries = [city.country for city in cities]
    mine = torch.tensor([[one == name for one in countries] for name in dict.fromkeys(countries)])
    return torch.stack([rows[where].mean(0) for where in mine]) - rows.mean(0)
