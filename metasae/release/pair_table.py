"""One pair before and after the swap, and the best edit for every pattern it can reach."""

from itertools import product
from typing import Any

from metasae.lab.lab import Lab
from metasae.search.combinations import Combinations
from metasae.search.exhaustive import search
from metasae.steering.edits import NO_EDIT, EditOptions, LatentSwap


def pair_table(lab: Lab, source: str, target: str) -> dict[str, Any]:
    """One pair before, after the swap, and the best edit for every pattern it can reach.

    All combinations are searched with both cities' default latents and with the best latent of
    each, with the SAE's error kept and dropped; of equal patterns the larger margin stands.
    """
    pair = lab.experiment(lab.subject(source), lab.subject(target))
    best: dict[tuple[bool, ...], dict[str, Any]] = {}
    every = slice(None)
    for which, keep_error in product((every, slice(1)), (True, False)):
        mine, theirs = pair.source.latents[which], pair.target.latents[which]
        experiment = lab.experiment(lab.subject(source, mine), lab.subject(target, theirs))
        options = EditOptions(keep_error=keep_error)
        for one in search(experiment, Combinations.of(experiment, options)):
            key = tuple(one.pattern.values())
            if key not in best or one.margin > best[key]["margin"]:
                best[key] = {
                    "pattern": one.pattern,
                    "source_latents": mine,
                    "target_latents": theirs,
                    "edit": one.edit.to_dict(),
                    "margin": one.margin,
                    "sentence": one.sentence,
                }
    return {
        "baseline": pair.apply(NO_EDIT).to_dict()["attributes"],
        "swap": pair.apply(LatentSwap()).to_dict()["attributes"],
        "patterns": [best[key] for key in sorted(best)],
    }
