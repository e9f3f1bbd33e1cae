"""Changes of the output when a direction is added to the residual stream.

Shapes: T positions, D = d_model, V vocabulary.
"""

from weakref import WeakKeyDictionary

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from metasae.lm.language_model import LanguageModel
from metasae.lm.logit_lens import extreme_tokens

NEUTRAL = ("I think that the", "He said it was", "This is about a")
"""Prompts on whose last token the direction is added."""


def token_change(
    model: LanguageModel,
    direction: Float[Tensor, " D"],
    strength: float,
    count: int = 8,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tokens that a direction makes likelier and less likely: two tables, columns token, nats.

    Nats are the mean change of the next token's log-probability over the `NEUTRAL` prompts. Only
    tokens with a probability above 1/1000 before or after, on one of the prompts, are shown.

    Args:
        strength: the direction is multiplied by it.
        count: most rows of each table.
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
    raised = extreme_tokens(model, up, count, "nats")
    lowered = extreme_tokens(model, down, count, "nats", largest=False)
    return raised[raised["nats"] > 0], lowered[lowered["nats"] < 0]


_Unedited = tuple[Float[Tensor, "1 T D"], Float[Tensor, " V"]]
"""Residual stream at the hook and the next token's log-probabilities of a prompt."""

_known: WeakKeyDictionary[LanguageModel, list[_Unedited]] = WeakKeyDictionary()
"""Of the neutral prompts; kept no longer than the model itself."""


def _neutral(model: LanguageModel) -> list[_Unedited]:
    if model not in _known:
        resids = [model.residual(torch.tensor([model.prompt_tokens(text)])) for text in NEUTRAL]
        _known[model] = [
            (resid, model.logits_above(resid)[0, -1].log_softmax(-1)) for resid in resids
        ]
    return _known[model]
