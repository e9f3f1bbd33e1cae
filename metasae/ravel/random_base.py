"""Two base SAEs that differ in the decoder alone: one is random and stays so, one is learned.

Sparse autoencoders with frozen random decoders have matched trained ones on causal edits, so a
score of SAE latents says nothing without them. An SAE that ships read more text than a control may
cost. So a learned twin is trained beside the random one, on the same text by the same recipe: the
random decoder is to be compared with that twin, whatever SAEs the preset has.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.files import read_json
from metasae.sources.locks import claimed
from metasae.text.kept_windows import text_of
from metasae.text.overlap import clean_windows, for_figures
from metasae.text.windows import Windows
from metasae.training import explained
from metasae.training.base_sae import (
    RECIPE,
    TOKENS,
    TrainingText,
    train_base_sae,
    training_text,
)
from metasae.training.config import TrainConfig, check_config
from metasae.training.held_out import base_quality, held_out_batches

Decoder = Literal["random", "learned"]


def recipe(lab: Lab, seed: int, decoder: Decoder) -> TrainConfig:
    """How one of the two is trained: as a base SAE of one's own, as wide as the meta-SAE.

    On the embedded default this is the recipe of the smaller SAE of that width. The encoder starts
    as a multiple of the decoder in both, and is trained like every bias.
    """
    learned = replace(RECIPE, width=lab.n_meta, seed=seed)
    if decoder == "learned":
        return learned
    return replace(learned, start="random", train_decoder=False)


def base_sae(
    lab: Lab, seed: int, decoder: Decoder, progress: Progress = silent
) -> SparseAutoencoder:
    """One of the two, trained where it is not kept yet; one that was stopped is gone on with.

    About `base_sae.TOKENS` tokens are read, and their residuals are kept for the other one.

    Raises:
        UserError: when there is no text, or too little; when another process trains it; when the
            disk is full, or what is kept is damaged.
    """
    config = recipe(lab, seed, decoder)
    folder = _folder(lab, config)
    if not folder.exists():
        busy = "Another process trains the SAE that this needs; wait for it, and start again."
        with claimed(folder.with_name(f"{folder.name}.lock"), busy):
            # The other process may have ended meanwhile.
            if not folder.exists():
                _make(lab, config, folder, f"SAE with a {decoder} decoder, seed {seed}", progress)
    try:
        return formats.load(folder)
    except UserError as error:
        raise UserError(
            f"The SAE in {folder} is damaged; delete that folder, and it is trained again."
        ) from error


def quality(lab: Lab, seed: int, decoder: Decoder) -> dict[str, Any]:
    """What one of the two explains of held-out text; empty where none is kept.

    Returns:
        ``l0``, ``fve`` (around the mean residual), ``ce_recovered`` as `held_out.base_quality`
        has them, and ``silent``, the latents active on none of every eighth training row.
    """
    try:
        report = read_json(_folder(lab, recipe(lab, seed, decoder)) / formats.REPORT)
        measured = report["quality"]
        return {name: measured[name] for name in ("l0", "fve", "ce_recovered", "silent")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def in_words(figures: Mapping[str, Any]) -> list[str]:
    """A sentence on each of those that some methods of a run needed.

    Args:
        figures: of the run's finding.
    """
    return [
        f"The SAE of {one['method']}, seed {one['seed']}, explains {one['fve']:.1%} of held-out "
        f"text's variance and recovers {one['ce_recovered']:.1%} of its cross-entropy with "
        f"{one['l0']:.1f} active latents a token; {one['silent']:,} latents are silent."
        for one in figures.get("base_saes", ())
        if "fve" in one
    ]


def lacking(lab: Lab, seeds: int, progress: Progress = silent) -> str:
    """Why they can't be trained, in a sentence; empty where they can, or are kept already.

    Args:
        seeds: how many are needed of each.
    """
    configs = [recipe(lab, seed, one) for seed in range(seeds) for one in ("random", "learned")]
    if all(_folder(lab, one).exists() for one in configs):
        return ""
    try:
        _read(lab, configs[0], progress)
    except UserError as error:
        return str(error)
    return ""


def _folder(lab: Lab, config: TrainConfig) -> Path:
    about = lab.provenance
    made_of = [about.model, about.hook, TOKENS, asdict(config)]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return cache.control_sae(lab.preset.kept_as, digest[:12])


def _read(
    lab: Lab, config: TrainConfig, progress: Progress
) -> tuple[Windows, Sequence[tuple[Tensor, Tensor]]]:
    """The preset's text, and batches of what is held out of it."""
    windows = text_of(lab.preset, lab.model, (), progress)
    tokens = min(TOKENS, int(windows.lengths.sum()))
    check_config(config, tokens, f"The text has {tokens:,} tokens")
    batches = held_out_batches(windows, among=clean_windows(windows) & for_figures(windows))
    if not batches:
        raise UserError("None of the text is held out, so there is nothing to measure an SAE on.")
    return windows, batches


def _make(lab: Lab, config: TrainConfig, folder: Path, stage: str, progress: Progress) -> None:
    windows, held_out = _read(lab, config, progress)
    text = training_text(lab.preset, lab.model, windows, TOKENS, progress)
    checkpoint = folder.with_name(f"{folder.name}.checkpoint")
    made = train_base_sae(text, config, checkpoint=checkpoint, progress=progress, stage=stage)
    report = {
        "model": lab.preset.model.name,
        "hook": lab.preset.hook_point,
        "config": asdict(config),
        "tokens": len(text.activations),
        "quality": _measured(text, made, held_out, progress),
    }
    formats.save(made, folder, torch.float32, report)
    checkpoint.unlink(missing_ok=True)


def _measured(
    text: TrainingText,
    sae: SparseAutoencoder,
    held_out: Sequence[tuple[Tensor, Tensor]],
    progress: Progress,
) -> dict[str, Any]:
    acts = text.activations
    (found,) = base_quality(
        text.model, {sae.width: sae}, held_out, acts.mean, acts.median_norm, progress
    )
    sample = acts.rows(np.arange(0, len(acts), 8))
    return {**found, "silent": explained.quality(sae, sample).dead}
