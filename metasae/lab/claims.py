"""Which latents a name claims: ranked, and which of them are its own. One rule for every name.

Shapes: F latents.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CANDIDATES, OWN, RankedLatent
from metasae.lab.reference import NameReference
from metasae.lm.language_model import LanguageModel
from metasae.lm.names import name_position
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.steering.ablation import lost_without
from metasae.steering.prompt_set import PromptSet

STRONG = 0.25
"""A latent is edited by default when it is the name's own and at least this share as active on the
name as the name's strongest own latent."""


def claims(
    reference: NameReference, name: str, activations: Float[Tensor, " F"]
) -> tuple[RankedLatent, ...]:
    """The latents a name claims, the chosen first, then by activation times selectivity.

    A latent is the name's own when more than `OWN` of its activation over the reference names is
    on this one and the activation reaches the reference's floor. Chosen are the name's own, or,
    when it has none, the one latent that is most active and selective.

    Args:
        activations: see `name_latents.activation_table`.
    """
    share = reference.selectivity(name, activations)
    best = (activations * share).topk(min(CANDIDATES, len(share))).indices.tolist()
    ranked = [
        RankedLatent(
            latent=latent,
            activation=round(float(activations[latent]), 3),
            selectivity=round(float(share[latent]), 4),
            effect=0.0,
            chosen=False,
            own=bool(share[latent] > OWN and activations[latent] >= reference.floor),
        )
        for latent in best
        if activations[latent] > 0
    ]
    strongest = max((one.activation for one in ranked if one.own), default=0.0)
    chosen = {one.latent for one in ranked if one.own and one.activation >= STRONG * strongest}
    if not chosen and ranked:
        chosen = {ranked[0].latent}
    marked = [replace(one, chosen=one.latent in chosen) for one in ranked]
    return tuple(sorted(marked, key=lambda r: (not r.chosen, -r.activation * r.selectivity)))


def with_effects(
    latents: tuple[RankedLatent, ...],
    model: LanguageModel,
    sae: SparseAutoencoder,
    prompts: PromptSet,
    name: str,
    median_norm: float,
) -> tuple[RankedLatent, ...]:
    """The same with what the prompts' answers lose without each latent, on average (nats)."""
    at = [name_position(model, one.prompt, name) for one in prompts.questions]
    lost = lost_without(prompts, sae, [one.latent for one in latents], at, median_norm).mean(1)
    return tuple(
        replace(one, effect=round(float(loss), 4)) for one, loss in zip(latents, lost, strict=True)
    )


def sharing_note(reference: NameReference, name: str, latents: tuple[RankedLatent, ...]) -> str:
    """What a name without a latent of its own is edited by, in a sentence; empty when it has one.

    Args:
        latents: see `claims`.
    """
    if any(one.own for one in latents):
        return ""
    if not latents:
        return f"No latent fires on {name} here, so there is nothing to edit it by."
    first = latents[0]
    others = reference.also_on(first.latent, name)
    if not others:
        return (
            f"{name} has no latent of its own here: its most selective, #{first.latent}, is faint "
            f"({first.activation:.1f}, where {reference.floor:.1f} is asked for)."
        )
    whom = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]}"
    return (
        f"{name} has no latent of its own here: it is edited by #{first.latent}, which also fires "
        f"on {whom}."
    )
