"""Finding a city's latents: which fire on its name and hardly on any other's, and which matter.

First by activation: the city's name is put into varied contexts, and a latent counts for the city
by its mean activation on the name's last token, and by that activation's share of the same over
all cities (its selectivity). Then by causal effect: how many nats the city's own answers lose, on
average over the four questions, when the latent is set to 0 on the name.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metasae.activations import not_massive
from metasae.autoencoders import SparseAutoencoder
from metasae.cities import City
from metasae.errors import UserError
from metasae.model import LanguageModel, padded
from metasae.progress import Progress, silent
from metasae.prompts import PLACES, fill

OWN = 0.5
"""A latent is a city's own when more than this share of its activation over all cities is there."""

CANDIDATES = 8
"""Latents of a city that are ranked."""


@dataclass(frozen=True)
class RankedLatent:
    """One latent's claim to a city.

    Attributes:
        latent: its index.
        activation: mean over the contexts, on the name's last token, in residual-stream units.
        selectivity: share of its activation over all cities, 0 to 1.
        effect: nats the city's answers lose without it, mean over the four questions.
        chosen: whether it is edited by default.
    """

    latent: int
    activation: float
    selectivity: float
    effect: float
    chosen: bool


@dataclass(frozen=True)
class CityRecord:
    """A city, what the model knows of it, and its latents.

    Attributes:
        answers: per attribute the accepted form the unedited model finds likeliest.
        known: per attribute whether that answer is the likeliest among all cities' answers.
        latents: ranked, the best first.
    """

    name: str
    country: str
    continent: str
    language: str
    currency: str
    answers: dict[str, str]
    known: dict[str, bool]
    latents: tuple[RankedLatent, ...]

    @property
    def chosen(self) -> tuple[RankedLatent, ...]:
        """The latents an edit of the city uses by default."""
        return tuple(latent for latent in self.latents if latent.chosen)

    @property
    def has_own_latent(self) -> bool:
        """Whether some latent has more than half of its activation over all cities here."""
        return any(latent.selectivity > OWN for latent in self.latents)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "CityRecord":
        """The record `to_dict` wrote."""
        latents = tuple(RankedLatent(**latent) for latent in values["latents"])
        return CityRecord(**(values | {"latents": latents}))


def name_position(model: LanguageModel, prompt: str, name: str) -> int:
    """Position (start token counted) of the last token of the last mention of a name.

    Raises:
        UserError: when the prompt lacks the name.
    """
    mentions = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)) if name else []
    if not mentions:
        raise UserError(
            f'The prompt "{prompt}" does not mention {name}; write the city\'s name where the edit '
            "should act."
        )
    encoded = model.tokenizer(prompt, add_special_tokens=False)
    token = encoded.char_to_token(mentions[-1].end() - 1)
    assert token is not None
    return int(token) + 1


def activation_table(
    model: LanguageModel,
    sae: SparseAutoencoder,
    cities: Sequence[City],
    median_norm: float,
    progress: Progress = silent,
) -> Float[Tensor, "C F"]:
    """Mean activation of every latent on every city's name, over the contexts of `PLACES`."""
    table = torch.zeros(len(cities), sae.width)
    for number, city in enumerate(cities):
        prompts = [fill(template, city.name) for template in PLACES]
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
