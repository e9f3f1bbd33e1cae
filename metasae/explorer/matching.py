"""What a search finds, as one list: a name's latents, those labelled so, those that fire on it."""

from contextlib import suppress

import pandas as pd

from metasae.errors import UserError
from metasae.explorer.explorer import Explorer

MOST = 80
"""Latents that are listed at most."""

NAME_WORDS = 4
"""Words of a text at most that may be a name."""

OWN, ACTIVE = "the name's own", "active on the name"
"""Why a latent is listed that is active on what was typed, taken as a name."""


def matches(
    explorer: Explorer, width: int, typed: str, firing: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The latents of a width that what was typed may mean, each once.

    A name's latents come first, then those whose label, words or city match or that promote the
    word, then those that fire on it as a text, the most active first.

    Args:
        firing: what `Explorer.firing_on` says of the text, where that is known already.

    Returns:
        Columns latent, label, activation (the largest on a token of the text; 0 where it is silent
        there) and why (all that holds, the most telling first).

    Raises:
        UserError: for an empty text, one longer than the model reads, or no such width.
    """
    if firing is None:
        firing = explorer.firing_on(width, typed)
    found = explorer.find(str(width), typed)
    why: dict[int, list[str]] = {}
    if width == explorer.lab.n_latents and len(typed.split()) <= NAME_WORDS:
        with suppress(UserError):  # more tokens than a name has
            for one in explorer.lab.names.record(typed).latents:
                why.setdefault(one.latent, []).append(OWN if one.own else ACTIVE)
    for latent, reason in zip(found["index"], found["why"], strict=True):
        why.setdefault(int(latent), []).append(reason)
    strongest = firing.sort_values("activation", ascending=False, kind="stable")
    for latent, part in strongest.groupby("latent", sort=False):
        tokens = ", ".join(f"“{token.strip() or token}”" for token in dict.fromkeys(part["token"]))
        why.setdefault(int(str(latent)), []).append(f"fires on {tokens}")
    peaks = firing.groupby("latent")["activation"].max()
    kept = list(why)[:MOST]
    return pd.DataFrame(
        {
            "latent": kept,
            "label": [explorer.label(str(width), latent) for latent in kept],
            "activation": [float(peaks.get(latent, 0.0)) for latent in kept],
            "why": ["; ".join(why[latent]) for latent in kept],
        }
    )
