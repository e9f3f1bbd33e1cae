"""What a latent or meta-latent is, in a few words: where it fires and what it promotes."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from metasae.decomposition import Decomposition
from metasae.model import LanguageModel

LATENTS_SHOWN = 6
WORDS_SHOWN = 6


@dataclass(frozen=True)
class MetaCard:
    """A meta-latent at a glance.

    Attributes:
        title: the commonest words of the latents it is most active on.
        promoted: tokens its direction raises most, through the final norm's weights and the
            unembedding (the "logit lens").
        latents: (latent, activation, its words), strongest first.
        active_on: share of all latents it is active on.
    """

    meta: int
    title: str
    promoted: tuple[str, ...]
    latents: tuple[tuple[int, float, str], ...]
    active_on: float


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


def meta_card(
    model: LanguageModel,
    decomposition: Decomposition,
    meta: int,
    words_of: Callable[[int], tuple[str, ...]],
) -> MetaCard:
    """Describe a meta-latent.

    Args:
        words_of: the words a latent is most active on.

    Raises:
        UserError: for a meta-latent out of range.
    """
    strongest = decomposition.latents_of(meta)
    shown = list(strongest.items())[:LATENTS_SHOWN]
    heading: dict[str, str] = {}
    for latent, _ in list(strongest.items())[: 2 * LATENTS_SHOWN]:
        for word in words_of(latent)[:1]:
            heading.setdefault(word.casefold(), word)
    return MetaCard(
        meta=meta,
        title=", ".join(list(heading.values())[:4]) or f"meta-latent {meta}",
        promoted=promoted_tokens(model, decomposition.meta.W_dec[meta]),
        latents=tuple((latent, value, ", ".join(words_of(latent)[:3])) for latent, value in shown),
        active_on=len(strongest) / decomposition.n_latents,
    )
