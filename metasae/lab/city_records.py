"""Names, most of them cities, with what the model knows of them and the latents that are theirs."""

from dataclasses import dataclass
from typing import Any

from metasae.sources.records import from_values, to_values

OWN = 0.5
"""A latent is a name's own when more than this share of its activation over all names is there."""

CANDIDATES = 8
"""Latents of a name that are ranked."""


@dataclass(frozen=True)
class RankedLatent:
    """One latent's claim to a name.

    Attributes:
        latent: its index.
        activation: mean over the contexts, on the name's last token, in residual-stream units.
        selectivity: share of its activation over all reference names, 0 to 1.
        effect: nats the name's answers lose without it, mean over the four questions.
        chosen: whether it is edited by default.
        own: whether it is the name's own: selective, and not faint.
    """

    latent: int
    activation: float
    selectivity: float
    effect: float
    chosen: bool
    own: bool


@dataclass(frozen=True)
class CityRecord:
    """A city, or any name that was looked up, what the model knows of it, and its latents.

    Attributes:
        country, continent, language, currency: its facts; of a name outside the table what the
            model itself finds likeliest among the table's.
        answers: per attribute the accepted form the unedited model finds likeliest.
        known: per attribute whether that answer is the likeliest among all cities' answers.
        latents: ranked, the best first.
        in_table: whether the facts are the table's.
    """

    name: str
    country: str
    continent: str
    language: str
    currency: str
    answers: dict[str, str]
    known: dict[str, bool]
    latents: tuple[RankedLatent, ...]
    in_table: bool = True

    @property
    def chosen(self) -> tuple[RankedLatent, ...]:
        """The latents an edit of the city uses by default."""
        return tuple(latent for latent in self.latents if latent.chosen)

    @property
    def has_own_latent(self) -> bool:
        """Whether some latent is its own."""
        return any(latent.own for latent in self.latents)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able values that files hold."""
        return to_values(self)

    @staticmethod
    def from_dict(values: Any) -> "CityRecord":
        """The record `to_dict` wrote; raises ValueError for anything else."""
        return from_values(CityRecord, values)
