"""Training of a base SAE on any preset's model, any text and any configuration.

The embedded default's SAEs are trained in `release.build`, by the same trainer.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metasae.errors import UserError
from metasae.lm.halves import usable
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.neighbours import nearest_cosine
from metasae.sources import cache
from metasae.sources.presets import Preset
from metasae.text.documents import own_documents
from metasae.text.kept_windows import text_of
from metasae.text.windows import Windows, windows
from metasae.training import explained
from metasae.training.config import TrainConfig, check_config, check_initial
from metasae.training.held_out import held_out_batches
from metasae.training.residuals import Residuals, collect
from metasae.training.rows import TensorRows
from metasae.training.starts import start_directions
from metasae.training.threshold import with_threshold
from metasae.training.trainer import Trainer
from metasae.training.unfinished import check_free

TOKENS = 500_000
"""Tokens that are read by default."""

RECIPE = TrainConfig(width=4608, k=4, steps=1200, start="ngrams")
"""The default configuration: few latents a token, started from what occurs in the text, which makes
latents that are composites (see `benchmarks.starts`)."""

_CALIBRATED = 32768
"""Most rows from which the inference threshold of a BatchTopK SAE is computed."""


@dataclass(frozen=True)
class TrainingText:
    """A model, a text as token windows, and the residuals of its training windows."""

    model: LanguageModel
    windows: Windows
    activations: Residuals

    @property
    def scale(self) -> float:
        """Factor that brings the residuals' median norm to √d_model, for which the rates are."""
        return float(self.model.d_model**0.5 / self.activations.median_norm)


def read_training_text(
    preset: Preset,
    texts: Sequence[str | Path] = (),
    *,
    tokens: int = TOKENS,
    progress: Progress = silent,
) -> TrainingText:
    """A text with its residuals at a preset's hook, collected once and kept in the cache.

    Args:
        texts: as `documents.own_documents` takes them; the embedded default's documents when left
            out.
        tokens: about how many are read, drawn by seed from all of the text.

    Raises:
        UserError: when a text can't be read, or there is no network on first use or no space.
    """
    if texts:
        documents = list(own_documents(texts))
        model = load_model(preset, progress)
        text = windows(model, progress, documents)
    else:
        model = load_model(preset, progress)
        text = text_of(preset, model, progress=progress)
    return training_text(preset, model, text, tokens, progress)


def training_text(
    preset: Preset, model: LanguageModel, text: Windows, tokens: int, progress: Progress = silent
) -> TrainingText:
    """About so many tokens of a text, drawn by seed, with their residuals, which are kept.

    Raises:
        UserError: when there is no space, or what is kept is damaged.
    """
    order = np.random.default_rng(0).permutation(len(text.lengths))
    enough = int(np.searchsorted(text.lengths.numpy()[order].cumsum(), tokens)) + 1
    some = text.some(torch.from_numpy(np.sort(order[:enough])))
    return TrainingText(model, some, collect(model, some, residuals_folder(preset, some), progress))


def residuals_folder(preset: Preset, text: Windows) -> Path:
    """The folder of the residuals of a text at a preset's hook."""
    name = hashlib.sha256(text.tokens.numpy().tobytes() + preset.hook_point.encode()).hexdigest()
    return cache.residuals(preset.kept_as, name)


def train_base_sae(
    text: TrainingText,
    config: TrainConfig,
    *,
    initial: SparseAutoencoder | None = None,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    stage: str = "",
) -> SparseAutoencoder:
    """A base SAE trained on a text; a BatchTopK one has the threshold that gives its L0.

    Args:
        text: as `read_training_text` gives it.
        initial: SAE to start from, for ``config.start`` "sae".
        checkpoint: file that is written now and then, and that the training goes on from.
        stage: name of the training in the progress; empty: its number of latents.

    Raises:
        UserError: as `config.check_config` and `config.check_initial`; for a checkpoint of another
            configuration or other data, or a full disk.
    """
    acts = text.activations
    check_config(config, len(acts), f"There are {len(acts):,} tokens")
    check_initial(config, initial, acts.mean.numel())
    draw = np.random.default_rng(config.seed)
    directions = None
    if config.start == "data":
        # In the order of the text, so that a latent's number says about where it started.
        drawn = np.sort(draw.choice(len(acts), config.width, replace=False))
        directions = acts.rows(drawn) - acts.mean
    elif config.start == "ngrams":
        directions = start_directions(acts, text.windows, config.width, config.seed)
    trainer = Trainer(
        acts, config, directions, acts.mean, initial, scale=text.scale, dtype=fast_dtype()
    )
    trainer.run(checkpoint, progress=progress, stage=stage or f"SAE of {config.width:,} latents")
    made = trainer.result()
    if config.selection == "topk":
        return made
    some = draw.choice(len(acts), min(_CALIBRATED, len(acts)), replace=False)
    return with_threshold(made, TensorRows(acts.rows(some)), config.k)


def _held_out(text: TrainingText) -> list[tuple[Tensor, Tensor]]:
    """Batches (tokens, lengths) of held-out windows.

    Raises:
        UserError: when there are none.
    """
    batches = held_out_batches(text.windows)
    if not batches:
        raise UserError(
            "No text was held out to measure on; give more of it, in paragraphs of more than 8 "
            "tokens."
        )
    return batches


def measure(text: TrainingText, sae: SparseAutoencoder) -> dict[str, Any]:
    """Quality of a base SAE at inference on held-out windows, and how close its latents are.

    Returns:
        ``l0``, ``fve``, ``fve_centred`` and ``tokens_measured`` on held-out text; ``silent``, the
        latents active on none of every eighth training row; ``nearest_cosine``.

    Raises:
        UserError: when no text was held out.
    """
    kept = []
    for tokens, lengths in _held_out(text):
        resid = text.model.residual(tokens)
        kept.append(resid[usable(resid, lengths, text.activations.median_norm)])
    held_out = explained.quality(sae, torch.cat(kept))
    sample = text.activations.rows(np.arange(0, len(text.activations), 8))
    used = explained.quality(sae, sample)
    return {
        "l0": held_out.l0,
        "fve": held_out.fve,
        "fve_centred": held_out.fve_centred,
        "tokens_measured": sum(map(len, kept)),
        "silent": used.dead,
        "nearest_cosine": nearest_cosine(sae.W_dec),
    }


def make(
    preset: Preset,
    config: TrainConfig,
    out: Path,
    texts: Sequence[str | Path] = (),
    *,
    tokens: int = TOKENS,
    initial: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """The report of a base SAE that is trained and written to a folder in SAELens's format.

    The report lies beside its weights, as `formats.REPORT`.

    Args:
        out: the folder, which must not exist or be empty.
        texts, tokens: as `read_training_text`.
        initial: folder of the SAE to start from, for ``config.start`` "sae".
        resume: go on from the checkpoint of a stopped training.

    Raises:
        UserError: when ``out`` holds something already, or a checkpoint lies beside it and
            ``resume`` is not set; when no text is held out or ``initial`` can't be opened; and as
            `read_training_text` and `train_base_sae`.
    """
    check_config(config, tokens, f"{tokens:,} tokens are to be read")
    start = None if initial is None else formats.load(initial)
    check_initial(config, start, preset.model.d_model or (start.d_in if start else 0))
    checkpoint = out.with_name(f"{out.name}.sae.checkpoint")
    check_free(out, [checkpoint], resume)
    text = read_training_text(preset, texts, tokens=tokens, progress=progress)
    _held_out(text)
    sae = train_base_sae(text, config, initial=start, checkpoint=checkpoint, progress=progress)
    sources = dict.fromkeys(text.windows.sources)
    notes = {
        "model_name": preset.model.name,
        "hook_name": preset.hook_point,
        "prepend_bos": True,
        "context_size": int(text.windows.tokens.shape[1]),
        "training": asdict(config),
    }
    report = {
        "model": preset.model.name,
        "hook": preset.hook_point,
        "config": asdict(config),
        "text": list(sources),
        "tokens": len(text.activations),
        "quality": measure(text, sae),
    }
    formats.save(replace(sae, metadata=notes), out, torch.float32, report)
    checkpoint.unlink(missing_ok=True)
    return report
