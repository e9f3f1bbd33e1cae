"""A typed text token by token: which latents fire there, and what the model expects.

Log-probabilities are in nats.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.errors import UserError
from metasae.explorer.evidence import firing_of
from metasae.explorer.explorer import Explorer
from metasae.lm.halves import not_massive
from metasae.lm.language_model import LanguageModel

_ROWS = 64
"""Tokens after which all words' probabilities are held at a time."""


@dataclass(frozen=True)
class ReadText:
    """A text as a model reads it.

    Attributes:
        tokens: a row a token, the start token first: position, token, logprob (of this token,
            given those before; NaN for the start token), next (the likeliest token to follow) and
            next_logprob.
        latents: the strongest latents of every token, the strongest first: position, token,
            latent, label, activation, density (share of the tokens of the SAE's evidence on which
            it fires; NaN where nobody has collected that).
        left_out: how many more fire on some token, but are too dense.
    """

    tokens: pd.DataFrame
    latents: pd.DataFrame
    left_out: int

    def of(self, position: int) -> pd.DataFrame:
        """The latents of one token."""
        return self.latents[self.latents["position"] == position]

    def rows(self, start: bool = False) -> list[dict[Any, Any]]:
        """Each token's row, with its own of ``latents`` under that name.

        Args:
            start: with the start token.
        """
        what = ["latent", "label", "activation", "density"]
        return [
            {**row, "latents": self.of(row["position"])[what].to_dict("records")}
            for row in self.tokens.to_dict("records")
            if start or row["position"]
        ]


def read_text(
    explorer: Explorer,
    width: int,
    typed: str,
    most: int = 5,
    densest: float | None = None,
    start: bool = False,
) -> ReadText:
    """Read a text with an SAE and the model above it.

    Args:
        width: of the SAE.
        most: latents of a token.
        densest: latents that fire on a larger share of tokens are left out; None: none are.
        start: also list the latents of the start token, on which SAEs are not applied otherwise.

    Raises:
        UserError: for an empty text, one longer than the model reads, no such width, or a density
            to go by where nobody has collected where the latents fire.
    """
    model, evidence = explorer.lab.model, explorer.evidence(width)
    if densest is not None and evidence is None:
        raise UserError(
            f"Nobody has collected how often the latents of the SAE of {width} fire; leave the "
            "density out, or run: python -m metasae describe."
        )
    sae, ids = explorer.decomposition(width).sae, model.typed_tokens(typed)
    resid = model.residual(torch.tensor([ids]))
    firing = firing_of(model, sae, ids, resid[0], explorer.lab.median_norm, start)
    dense = [
        math.nan if evidence is None else evidence.density(latent) for latent in firing["latent"]
    ]
    firing = firing.assign(density=dense)
    kept = firing if densest is None else firing[firing["density"] <= densest]
    shown = kept.groupby("position").head(most).reset_index(drop=True)
    labels = [explorer.label(str(width), latent) for latent in shown["latent"]]
    order = ["position", "token", "latent", "label", "activation", "density"]

    own, best, best_at = _expected(model, resid, ids)
    tokens = pd.DataFrame(
        {
            "position": range(len(ids)),
            "token": [model.decode(one) for one in ids],
            "logprob": [math.nan, *own[:-1]],
            "next": [model.decode(one) for one in best_at],
            "next_logprob": best,
        }
    )
    return ReadText(tokens, shown.assign(label=labels)[order], len(firing) - len(kept))


@torch.inference_mode()
def _expected(
    model: LanguageModel, resid: Float[Tensor, "1 T D"], ids: Sequence[int]
) -> tuple[list[float], list[float], list[int]]:
    """After each token: the next one's log-probability, the highest, and whose that is.

    Some tokens at a time: those of all words after all tokens of a long text are gigabytes. What
    stands first after the last token says nothing.
    """
    own, best, best_at = list[float](), list[float](), list[int]()
    after = torch.tensor([*ids[1:], 0])
    hidden = model.hidden_above(resid)[0]
    for rows, following in zip(hidden.split(_ROWS), after.split(_ROWS), strict=True):
        expected = model.blocks().unembed(rows).log_softmax(-1)
        highest, at = expected.max(-1)
        own += expected.gather(1, following[:, None])[:, 0].tolist()
        best, best_at = best + highest.tolist(), best_at + at.tolist()
    return own, best, best_at


def latent_on(explorer: Explorer, width: int, latent: int, typed: str) -> pd.DataFrame:
    """One latent's activation on every token of a text.

    Returns:
        Columns position, token, activation (0 where it is silent, NaN on a massive activation,
        where no latent is read); the start token left out.

    Raises:
        UserError: for an empty text, one longer than the model reads, or no such latent.
    """
    decomposition, model = explorer.decomposition(width), explorer.lab.model
    decomposition.check(latent)
    ids = model.typed_tokens(typed)
    resid = model.residual(torch.tensor([ids]))[0]
    value = decomposition.sae.encode_some(resid, torch.tensor([latent]))[:, 0]
    read = not_massive(resid.norm(dim=-1), explorer.lab.median_norm)
    value = torch.where(read, value, math.nan)
    return pd.DataFrame(
        {
            "position": range(1, len(ids)),
            "token": [model.decode(one) for one in ids[1:]],
            "activation": value[1:].tolist(),
        }
    )


def fires_in_words(table: pd.DataFrame, shown: Callable[[str], str] = str.strip) -> str:
    """On how much of a text one latent fires, in a sentence.

    Args:
        table: see `latent_on`.
        shown: how a token is written.
    """
    value = table["activation"].fillna(0.0)
    if not value.any():
        return "It is silent on all of it."
    best = int(value.to_numpy().argmax())
    return (
        f"It fires on {(value > 0).sum()} of {len(table)} tokens, most strongly "
        f"({value.iloc[best]:.1f}) on “{shown(str(table['token'].iloc[best]))}”."
    )
