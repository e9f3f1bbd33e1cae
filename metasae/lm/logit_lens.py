"""The logit lens: which tokens a direction in the residual stream raises; no block is run.

A direction's score of a token is what it adds to that token's logit through the final norm's gain
and the unembedding. Scores hold up to a factor, since the final norm also divides by the length of
the residual stream it is given.

Shapes: N directions, D = d_model, V vocabulary.
"""

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metasae.lm.language_model import LanguageModel

WORDS_SHOWN = 6
"""Words that stand for what a direction promotes."""

_CHUNK = 256
"""Directions whose scores of the whole vocabulary are held at once."""


@torch.inference_mode()
def vocabulary_scores(
    model: LanguageModel, directions: Float[Tensor, "*N D"]
) -> Float[Tensor, "*N V"]:
    """Scores of every token for some directions."""
    scores: Tensor = model.hf.lm_head(_behind_the_norm(model, directions))
    return scores


@torch.inference_mode()
def token_direction(model: LanguageModel, token: int) -> Float[Tensor, " D"]:
    """The vector whose dot product with a direction is the direction's score of one token."""
    vector: Tensor = (
        _behind_the_norm(model, torch.eye(model.d_model)) @ model.hf.lm_head.weight[token]
    )
    return vector


def _behind_the_norm(
    model: LanguageModel, directions: Float[Tensor, "*N D"]
) -> Float[Tensor, "*N D"]:
    """What the final norm's gain makes of directions."""
    return model.family.gain(model.family.norm(model.hf), directions)


def top_tokens(
    model: LanguageModel, directions: Float[Tensor, "N D"], count: int = WORDS_SHOWN
) -> Int[Tensor, "N count"]:
    """The tokens each direction raises most, the most raised first."""
    tokens = [
        vocabulary_scores(model, part).topk(count, dim=1).indices
        for part in directions.split(_CHUNK)
    ]
    return torch.cat(tokens)


def directions_promoting(
    model: LanguageModel, directions: Float[Tensor, "N D"], word: str, count: int
) -> list[int]:
    """Indices of the directions that raise a word most, the most raising first.

    The word is looked for as it stands after a space, as given and with a capital; a direction's
    score is the higher of the two. Empty when neither is a single token.
    """
    tokens = [model.encode(text) for text in dict.fromkeys((f" {word}", f" {word.capitalize()}"))]
    single = [token_direction(model, ids[0]) for ids in tokens if len(ids) == 1]
    if not single:
        return []
    # One at a time: a product with a vector is as fast as memory, one with two columns far slower.
    scores = torch.stack([directions @ one for one in single]).amax(0)
    indices: list[int] = scores.topk(min(count, len(scores))).indices.tolist()
    return indices


def promoted_tokens(
    model: LanguageModel, direction: Float[Tensor, " D"], count: int = WORDS_SHOWN
) -> tuple[str, ...]:
    """The readable words a direction raises most, the most raised first."""
    # The same word comes with and without a space or capital: one of them is enough.
    words: dict[str, str] = {}
    for token in top_tokens(model, direction[None], 6 * count)[0].tolist():
        text = model.decode(token)
        if text.strip() and "\ufffd" not in text:
            words.setdefault(text.strip().casefold(), text.strip())
    return tuple(words.values())[:count]


def vocabulary_ends(
    model: LanguageModel, direction: Float[Tensor, " D"], count: int = 8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tokens a direction promotes and suppresses most: two tables of the columns token, score.

    Scores are set against their mean over the vocabulary, which changes no probability.
    """
    scores = vocabulary_scores(model, direction)
    scores = scores - scores.mean()
    return (
        extreme_tokens(model, scores, count, "score"),
        extreme_tokens(model, scores, count, "score", largest=False),
    )


def extreme_tokens(
    model: LanguageModel,
    values: Float[Tensor, " V"],
    count: int,
    column: str,
    *,
    largest: bool = True,
) -> pd.DataFrame:
    """The tokens with the largest values, or the smallest, the most extreme first.

    Args:
        count: most rows of the table.
        column: name of the values' column beside ``token``.
    """
    top = values.topk(min(count, len(values)), largest=largest)
    tokens = [model.decode(token) for token in top.indices.tolist()]
    return pd.DataFrame({"token": tokens, column: top.values.numpy()})
