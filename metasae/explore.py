"""What stands beside a latent: its neighbours, what a smaller SAE makes of it, what it does.

Shapes: F latents, D = d_model, V vocabulary.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.model import LanguageModel

NEUTRAL = ("I think that the", "He said it was", "This is about a")
"""Prompts on whose last token a direction is added to see what it changes."""


def nearest(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int = 5,
    without: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The directions closest to one: columns latent, cosine.

    Args:
        without: a latent that is left out: the direction's own.
    """
    lengths = directions.norm(dim=1).clamp(min=1e-12) * direction.norm().clamp(min=1e-12)
    cosine = directions @ direction / lengths
    if without is not None:
        cosine[without] = -2.0
    found = cosine.topk(min(count, len(cosine) - (without is not None)))
    return pd.DataFrame({"latent": found.indices.numpy(), "cosine": found.values.numpy()})


@dataclass(frozen=True)
class Pursuit:
    """A direction written with few of an SAE's decoder rows.

    Attributes:
        table: columns latent, weight, in the order they were chosen.
        explained: share of the direction's squared length, after each.
    """

    table: pd.DataFrame
    explained: tuple[float, ...]


def pursuit(
    directions: Float[Tensor, "F D"], direction: Float[Tensor, " D"], count: int
) -> Pursuit:
    """Orthogonal matching pursuit: the row closest to what is left, then all weights anew.

    Only rows that point the same way are taken, as an SAE's activations are positive; the weights
    are those of least squares.
    """
    left, chosen = direction.clone(), list[int]()
    explained: list[float] = []
    weights = torch.zeros(0)
    total = float(direction.square().sum())
    for _ in range(count):
        score = directions @ left
        score[chosen] = -torch.inf
        best = int(score.argmax())
        if score[best] <= 0:
            break
        chosen.append(best)
        rows = directions[chosen]
        weights = torch.linalg.lstsq(rows.T, direction[:, None]).solution[:, 0]
        left = direction - weights @ rows
        explained.append(1 - float(left.square().sum()) / total)
    table = pd.DataFrame(
        {"latent": np.array(chosen, dtype=np.int64), "weight": weights[: len(chosen)].numpy()}
    )
    return Pursuit(table, tuple(explained))


def vocabulary_ends(
    model: LanguageModel, direction: Float[Tensor, " D"], count: int = 8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tokens a direction promotes and suppresses most, by the logit lens: columns token, score."""
    scores = model.vocabulary_scores(direction)
    return _ends(model, scores - scores.mean(), count, "score")


def token_change(
    model: LanguageModel,
    direction: Float[Tensor, " D"],
    strength: float,
    count: int = 8,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the output really does when a direction is added: columns token, nats.

    The mean change of the next token's log-probability after `NEUTRAL` prompts, the direction added
    on their last token; only tokens that are likely before or after (above one in a thousand on one
    of them) are shown.
    """
    change = torch.zeros(int(model.hf.config.vocab_size))
    likely = torch.zeros(len(change), dtype=torch.bool)
    for resid, before in _neutral(model):
        edited = resid.clone()
        edited[0, -1] += strength * direction
        after = model.logits_above(edited)[0, -1].log_softmax(-1)
        change += (after - before) / len(NEUTRAL)
        likely |= (after.exp() > 1e-3) | (before.exp() > 1e-3)
    up, down = change.clone(), change.clone()
    up[~likely] = -torch.inf
    down[~likely] = torch.inf
    raised, _ = _ends(model, up, count, "nats")
    _, lowered = _ends(model, down, count, "nats")
    return raised[raised["nats"] > 0], lowered[lowered["nats"] < 0]


@lru_cache(maxsize=2)
def _neutral(model: LanguageModel) -> list[tuple[Float[Tensor, "1 T D"], Float[Tensor, " V"]]]:
    """Of each neutral prompt what no direction changes: its residual stream at the hook, and the
    next token's log-probabilities."""
    found = []
    for prompt in NEUTRAL:
        resid = model.residual(torch.tensor([model.prompt_tokens(prompt)]))
        found.append((resid, model.logits_above(resid)[0, -1].log_softmax(-1)))
    return found


def _ends(
    model: LanguageModel, scores: Float[Tensor, " V"], count: int, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ends = []
    for largest in (True, False):
        found = scores.topk(min(count, len(scores)), largest=largest)
        tokens = [model.decode(token) for token in found.indices.tolist()]
        ends.append(pd.DataFrame({"token": tokens, name: found.values.numpy()}))
    return ends[0], ends[1]
