"""Which latents are a name's: ranked by activation and selectivity, its own told apart, chosen.

Shapes: F latents.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from metasae.lab.city_records import CANDIDATES, NameRecord, RankedLatent
from metasae.lab.reference_names import ReferenceNames

OWN = 0.5
"""A latent is a name's own when more than this share of its activation over all names is there."""

STRONG = 0.25
"""A latent is edited by default when it is the name's own and at least this share as active on the
name as the name's strongest own latent."""

Effects = Callable[[Sequence[int]], Sequence[float | None]]
"""What a name's answers lose without each of some latents, in nats."""


def is_own(one: RankedLatent, floor: float) -> bool:
    """Whether a latent is the name's own: selective for it, and not merely flickering there.

    Args:
        floor: see `ReferenceNames.floor`.
    """
    return one.selectivity > OWN and one.activation >= floor


def unmeasured(latents: Sequence[int]) -> list[None]:
    """No effects, for a name without facts."""
    return [None] * len(latents)


def ranked(
    reference: ReferenceNames,
    name: str,
    activations: Float[Tensor, " F"],
    effects: Effects = unmeasured,
) -> tuple[RankedLatent, ...]:
    """A name's latents, the chosen first, then the more active and selective.

    Args:
        activations: on the name (see `name_latents.activations_on`).
    """
    share = reference.share(name, activations)
    best = (activations * share).topk(min(CANDIDATES, len(share))).indices.tolist()
    best = [latent for latent in best if activations[latent] > 0]
    claims = [
        RankedLatent(
            latent=latent,
            activation=round(float(activations[latent]), 3),
            selectivity=round(float(share[latent]), 4),
            effect=None if effect is None else round(effect, 4),
            own=False,
            chosen=False,
        )
        for latent, effect in zip(best, effects(best) if best else (), strict=True)
    ]
    return choose(claims, reference.floor)


def choose(claims: Sequence[RankedLatent], floor: float) -> tuple[RankedLatent, ...]:
    """Mark a name's own latents and those an edit uses: its own, else the best.

    Args:
        claims: the best by activation × selectivity first.
        floor: see `is_own`.
    """
    marked = [replace(one, own=is_own(one, floor)) for one in claims]
    strongest = max((one.activation for one in marked if one.own), default=0.0)
    chosen = {one.latent for one in marked if one.own and one.activation >= STRONG * strongest}
    if not chosen and marked:
        chosen = {marked[0].latent}
    marked = [replace(one, chosen=one.latent in chosen) for one in marked]
    return tuple(sorted(marked, key=lambda r: (not r.chosen, -r.activation * r.selectivity)))


_NAMED = 2
"""Names that are said to share a latent."""

ALIKE = 0.5
"""Share of its activation on a name that a latent has on another from which both are said to share
it: what only flickers there would claim a likeness that isn't."""


def shared(record: NameRecord, reference: ReferenceNames) -> str:
    """That a name has no latent of its own, and with whom it shares the one it is edited by, as a
    sentence; empty where it has one."""
    if record.has_own_latent or not record.latents:
        return ""
    best = record.latents[0]
    said = f'"{record.name}" has no latent of its own here: its best, #{best.latent}'
    if best.activation < reference.floor:
        # Whatever else it is active on, there is nothing that the name is like.
        return (
            f"{said}, is only weakly active on it ({best.activation:.1f}; it would count from "
            f"{reference.floor:.1f})."
        )
    alike = [
        f"{name} ({activation:.1f})"
        for name, activation in reference.most_active(best.latent, record.name)[:_NAMED]
        if activation >= ALIKE * best.activation
    ]
    said += f" (activation {best.activation:.1f})"
    if alike:
        return f"{said}, is also active on {' and '.join(alike)}."
    return f"{said}, is also active on many other names, on each less than half as strongly."
