"""One pair before and after the swap, and the best edit for every pattern it can reach."""

from itertools import product
from typing import Any

from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.search.patterns import FoundEdit
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap


def pair_table(lab: Lab, source: str, target: str) -> dict[str, Any]:
    """One pair before, after the swap, and the best edit for every pattern it can reach.

    All combinations are searched with both cities' default latents and with the best latent of
    each, with the SAE's error kept and dropped; of equal patterns the larger margin stands.
    """
    pair = lab.experiment(lab.subject(source), lab.subject(target))
    best: dict[tuple[bool, ...], tuple[FoundEdit, tuple[int, ...], tuple[int, ...]]] = {}
    mine, theirs = pair.source.latents, pair.target.latents
    # Of cities with one latent each the two choices are one.
    choices = dict.fromkeys([(mine, theirs), (mine[:1], theirs[:1])])
    for (mine, theirs), keep_error in product(choices, (True, False)):
        experiment = lab.experiment(lab.subject(source, mine), lab.subject(target, theirs))
        options = EditOptions(keep_error=keep_error)
        for one in search(experiment, Combinations.of(experiment, options)):
            key = tuple(one.pattern.values())
            if key not in best or one.margin > best[key][0].margin:
                best[key] = one, mine, theirs
    return {
        "baseline": pair.apply(NO_EDIT).to_dict()["attributes"],
        "swap": pair.apply(LatentSwap()).to_dict()["attributes"],
        "patterns": [_row(*best[key]) for key in sorted(best)],
    }


def _row(one: FoundEdit, mine: tuple[int, ...], theirs: tuple[int, ...]) -> dict[str, Any]:
    values = one.to_dict()
    return {
        "pattern": values["pattern"],
        "source_latents": mine,
        "target_latents": theirs,
        "edit": values["edit"],
        "margin": values["margin"],
        "sentence": values["sentence"],
    }
