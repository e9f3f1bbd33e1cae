"""What a direction in the residual stream promotes, by the logit lens: no block is run.

Shapes: D = d_model, V vocabulary.
"""

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from metasae.lm.language_model import LanguageModel

WORDS_SHOWN = 6


def promoted_tokens(
    model: LanguageModel, direction: Float[Tensor, " D"], count: int = WORDS_SHOWN
) -> tuple[str, ...]:
    """The tokens a direction in the residual stream raises most, by the logit lens."""
    scores = model.vocabulary_scores(direction)
    # The same word comes with and without a space or capital: one of them is enough.
    words: dict[str, str] = {}
    for token in scores.topk(6 * count).indices.tolist():
        text = model.decode(token)
        if text.strip() and "\ufffd" not in text:
            words.setdefault(text.strip().casefold(), text.strip())
    return tuple(words.values())[:count]


def vocabulary_ends(
    model: LanguageModel, direction: Float[Tensor, " D"], count: int = 8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tokens a direction promotes and suppresses most, by the logit lens: columns token, score."""
    scores = model.vocabulary_scores(direction)
    return ends(model, scores - scores.mean(), count, "score")


def ends(
    model: LanguageModel, scores: Float[Tensor, " V"], count: int, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ends = []
    for largest in (True, False):
        found = scores.topk(min(count, len(scores)), largest=largest)
        tokens = [model.decode(token) for token in found.indices.tolist()]
        ends.append(pd.DataFrame({"token": tokens, name: found.values.numpy()}))
    return ends[0], ends[1]
