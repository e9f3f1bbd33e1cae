"""Names with the latents that are theirs; cities with what the model knows of them besides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metasae.sources.records import from_values, to_values
from metasae.steering.questions import Subject

CANDIDATES = 8
"""Latents of a name that are ranked."""

ACTIVE = 0.25
"""Share of the activation of a name's strongest latent from which on a latent swap exchanges one,
chosen for edits or not."""


@dataclass(frozen=True)
class RankedLatent:
    """One latent's claim to a name.

    Attributes:
        latent: its index.
        activation: mean over the contexts, on the name's last token, in residual-stream units.
        selectivity: share of its activation over the name and all reference names, 0 to 1.
        effect: nats the name's answers lose without it, mean over the four questions; None for a
            name without facts.
        own: whether it is the name's own (see `ranking.is_own`).
        chosen: whether it is edited by default.
    """

    latent: int
    activation: float
    selectivity: float
    effect: float | None
    own: bool
    chosen: bool


@dataclass(frozen=True)
class Told:
    """One answer of a model about a name.

    Attributes:
        fact: what it states; the answers of two names that state the same are no rivals.
        text: in which form.
    """

    fact: str
    text: str


Answers = Mapping[str, Told]
"""Attribute → what a model says of a name."""


@dataclass(frozen=True)
class NameRecord:
    """A name and its latents.

    Attributes:
        latents: ranked, the best first.
    """

    name: str
    latents: tuple[RankedLatent, ...]

    @property
    def chosen(self) -> tuple[RankedLatent, ...]:
        """The latents an edit of the name uses by default."""
        return tuple(latent for latent in self.latents if latent.chosen)

    @property
    def active(self) -> tuple[RankedLatent, ...]:
        """The ranked latents at least `ACTIVE` as active on the name as the strongest of them."""
        floor = ACTIVE * max((one.activation for one in self.latents), default=0.0)
        return tuple(one for one in self.latents if one.activation >= floor)

    @property
    def has_own_latent(self) -> bool:
        """Whether some latent is the name's own."""
        return any(latent.own for latent in self.latents)

    @property
    def subject(self) -> Subject:
        """What an edit of the name works on by default."""
        return Subject(
            self.name,
            self.name,
            tuple(one.latent for one in self.chosen),
            tuple(one.activation for one in self.chosen),
            facts=isinstance(self, CityRecord),
            active=tuple((one.latent, one.activation) for one in self.active),
        )


@dataclass(frozen=True)
class CityRecord(NameRecord):
    """A city of the table, what the model knows of it, and its latents.

    Attributes:
        answers: per attribute the accepted form the unedited model finds likeliest.
        known: per attribute whether that answer is the likeliest among all cities' answers.
    """

    country: str
    continent: str
    language: str
    currency: str
    answers: dict[str, str]
    known: dict[str, bool]

    @property
    def told(self) -> Answers:
        """The city's facts, in the forms the model finds likeliest."""
        return {name: Told(getattr(self, name), text) for name, text in self.answers.items()}

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able values that files hold."""
        return to_values(self)

    @staticmethod
    def from_dict(values: Any) -> "CityRecord":
        """The record `to_dict` wrote; raises ValueError for anything else."""
        return from_values(CityRecord, values)
