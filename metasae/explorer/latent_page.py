"""All that is known of one latent: its pieces, its neighbours, where it fires, what it does.

The app's page, the command line and the benchmark show the same parts of this one object; each part
is computed when it is first asked for.

Shapes: D = d_model.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.explorer.evidence import Context, Evidence, Snippet, snippet
from metasae.explorer.explorer import META, Explorer
from metasae.lm.logit_lens import vocabulary_ends
from metasae.lm.token_change import token_change
from metasae.saes.decomposition import Decomposition
from metasae.saes.neighbours import nearest
from metasae.saes.pursuit import Pursuit, pursuit
from metasae.text.windows import Windows

SHARE_OF_NORM = 0.1
"""Of the median residual norm: how strongly a latent is added that nobody has seen firing."""


@dataclass(frozen=True)
class InSmallerSAE:
    """What a smaller SAE has in the place of a latent.

    Attributes:
        width: of the smaller SAE.
        nearest: its latents whose directions are closest: columns latent, cosine, called.
        pursuit: the direction written with as many of its decoder rows as it has meta-latents.
    """

    width: int
    nearest: pd.DataFrame
    pursuit: Pursuit

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "width": self.width,
            "nearest": self.nearest[["latent", "cosine"]].to_dict("records"),
            "pursuit": self.pursuit.table[["latent", "weight"]].to_dict("records"),
            "pursuit_explained": list(self.pursuit.explained),
        }


@dataclass(frozen=True)
class LatentPage:
    """One latent of one of a preset's SAEs.

    Attributes:
        width: of the SAE the latent is of.

    Raises:
        UserError: for a width there is none of, or a latent out of range.
    """

    explorer: Explorer
    width: int
    latent: int

    def __post_init__(self) -> None:
        self.decomposition.check(self.latent)

    @property
    def kind(self) -> str:
        """Under which its label is kept."""
        return str(self.width)

    @cached_property
    def decomposition(self) -> Decomposition:
        """The SAE it is of, taken apart."""
        return self.explorer.decomposition(self.width)

    @property
    def direction(self) -> Float[Tensor, " D"]:
        """Its decoder direction."""
        return self.decomposition.sae.W_dec[self.latent]

    @cached_property
    def pieces(self) -> pd.DataFrame:
        """Its meta-latents, strongest first: columns meta, called, activation."""
        active = self.decomposition.pieces(self.latent)
        return pd.DataFrame(
            {
                "meta": list(active),
                "called": [self.explorer.label(META, meta) for meta in active],
                "activation": list(active.values()),
            }
        )

    @cached_property
    def unexplained(self) -> float:
        """Share of its direction's squared length that is in none of them."""
        return self.decomposition.unexplained([self.latent])

    @cached_property
    def nearest(self) -> pd.DataFrame:
        """The latents of the same SAE whose directions are closest: columns latent, cosine,
        called."""
        directions = self.decomposition.sae.W_dec
        return self._called(nearest(directions, self.direction, without=self.latent), self.kind)

    @property
    def smaller_width(self) -> int | None:
        """Width of the SAE it is compared with; None for a latent of the smallest."""
        return self.explorer.smaller_width(self.width)

    @cached_property
    def smaller(self) -> InSmallerSAE | None:
        """What a smaller SAE has in its place; None for a latent of the smallest.

        Raises:
            UserError: when that SAE can't be opened.
        """
        if self.smaller_width is None:
            return None
        directions = self.explorer.decomposition(self.smaller_width).sae.W_dec
        kind = str(self.smaller_width)
        chased = pursuit(directions, self.direction, max(1, len(self.pieces)))
        return InSmallerSAE(
            width=self.smaller_width,
            nearest=self._called(nearest(directions, self.direction), kind),
            pursuit=Pursuit(self._called(chased.table, kind), chased.explained),
        )

    def _called(self, table: pd.DataFrame, kind: str) -> pd.DataFrame:
        return table.assign(
            called=[self.explorer.label(kind, latent) for latent in table["latent"]]
        )

    @cached_property
    def vocabulary_ends(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Tokens its direction promotes and suppresses most: columns token, score."""
        return vocabulary_ends(self.explorer.lab.model, self.direction)

    @cached_property
    def evidence(self) -> Evidence | None:
        """Where the latents of its SAE fire; None where nobody has collected it."""
        return self.explorer.evidence(self.width)

    @cached_property
    def contexts(self) -> tuple[Context, ...]:
        """Where it fires, the strongest first; none where nothing is known of it."""
        return () if self.evidence is None else self.evidence.of(self.latent)

    def snippets(self, text: Windows) -> tuple[Snippet, ...]:
        """Its contexts as tokens.

        Args:
            text: what the evidence is about (see `Explorer.text`).
        """
        return tuple(snippet(self.explorer.lab.model, text, one) for one in self.contexts)

    @property
    def strength(self) -> float:
        """Its largest known activation; a share of the usual residual norm where none is known."""
        if self.contexts:
            return self.contexts[0].strength
        return SHARE_OF_NORM * self.explorer.lab.median_norm

    @cached_property
    def token_change(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Tokens that become likelier and less likely when it is added at its `strength`: columns
        token, nats."""
        return token_change(self.explorer.lab.model, self.direction, self.strength)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        promoted, suppressed = self.vocabulary_ends
        values = {
            "latent": self.latent,
            "width": self.width,
            **self.explorer.scored(self.kind, self.latent).to_dict(),
            "meta_latents": [
                {"id": meta, "activation": value} | self.explorer.scored(META, meta).to_dict()
                for meta, value in zip(self.pieces["meta"], self.pieces["activation"], strict=True)
            ],
            "unexplained": self.unexplained,
            "nearest": self.nearest[["latent", "cosine"]].to_dict("records"),
            "promoted": list(promoted["token"]),
            "suppressed": list(suppressed["token"]),
        }
        if self.smaller is not None:
            values["smaller"] = self.smaller.to_dict()
        if self.evidence is not None:
            values["density"] = self.evidence.density(self.latent)
        return values
