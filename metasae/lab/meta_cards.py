"""A meta-latent at a glance: what it is called, promotes, and is most active on."""

from collections.abc import Callable
from dataclasses import dataclass

from metasae.lm.language_model import LanguageModel
from metasae.lm.logit_lens import promoted_tokens
from metasae.saes.decomposition import Decomposition

LATENTS_SHOWN = 6


@dataclass(frozen=True)
class CardLatent:
    """A latent that a meta-latent is active on.

    Attributes:
        activation: the meta-latent's, on the latent's direction.
        words: the latent is most active on, strongest first.
    """

    latent: int
    activation: float
    words: tuple[str, ...]


@dataclass(frozen=True)
class MetaCard:
    """A meta-latent at a glance.

    Attributes:
        title: the commonest words of the latents it is most active on.
        promoted: tokens its direction raises most, through the final norm's weights and the
            unembedding (the "logit lens").
        latents: those it is most active on, strongest first.
        active_on: share of all latents it is active on.
    """

    meta: int
    title: str
    promoted: tuple[str, ...]
    latents: tuple[CardLatent, ...]
    active_on: float


def meta_title(
    decomposition: Decomposition, meta: int, words_of: Callable[[int], tuple[str, ...]]
) -> str:
    """The commonest words of the latents a meta-latent is most active on; no model is asked.

    Args:
        words_of: the words a latent is most active on.

    Raises:
        UserError: for a meta-latent out of range.
    """
    heading: dict[str, str] = {}
    for latent in list(decomposition.latents_of(meta))[: 2 * LATENTS_SHOWN]:
        for word in words_of(latent)[:1]:
            heading.setdefault(word.casefold(), word)
    return ", ".join(list(heading.values())[:4]) or f"meta-latent {meta}"


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
    return MetaCard(
        meta=meta,
        title=meta_title(decomposition, meta, words_of),
        promoted=promoted_tokens(model, decomposition.meta.W_dec[meta]),
        latents=tuple(CardLatent(latent, value, words_of(latent)[:3]) for latent, value in shown),
        active_on=len(strongest) / decomposition.n_latents,
    )
