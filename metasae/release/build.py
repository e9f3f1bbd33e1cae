"""Making the embedded default: text → residuals → SAEs of all widths → meta-SAE → city tables.

Every stage leaves its result on disk and is skipped when that is there, so a build that was stopped
goes on where it was. The results are what the repository ships, beside the report that says how
they were made and how good they are.
"""

import functools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from metasae.lab.preset_files import CITIES, META_SAE, NAMES, REPORT, WORDS
from metasae.lm.loading import load_model
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.release.material import material
from metasae.release.measure import kept_base, measure_base, measure_meta
from metasae.release.recipe import SHIPPED, Recipe
from metasae.release.words import words_of_latents
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources import cache
from metasae.sources.files import written_whole
from metasae.sources.presets import Preset
from metasae.text.windows import WINDOW
from metasae.training.base_sae import TrainingText, train_base_sae
from metasae.training.config import TrainConfig
from metasae.training.kl_finetune import KLFinetuner
from metasae.training.meta_sae import train_meta_sae
from metasae.training.rows import TensorRows

FILES = ("sae-*", META_SAE, CITIES, NAMES, REPORT, WORDS)
"""What a release's folder holds."""


def build(
    preset: Preset, out: Path, progress: Progress = silent, recipe: Recipe = SHIPPED
) -> dict[str, Any]:
    """Make everything the preset ships, in ``out``; what is there already is kept.

    The residuals are collected only if something is missing that is made or measured with them.

    Returns:
        The report: configuration, text, seeds, and every measured figure.

    Raises:
        UserError: no network on first use, or no space.
    """
    text = functools.cache(lambda: material(preset, progress))
    # Largest first: it takes longest, and every other stage needs it.
    for width in sorted(preset.widths, reverse=True):
        if not (out / f"sae-{width}").exists():
            make_base(preset, width, out, text(), recipe, progress)
    if not (out / WORDS).exists():
        make_words(preset, out, text(), progress)
    base = kept_base(preset, out) or measure_base(preset, out, text(), progress)
    model = load_model(preset, progress)
    if not (out / META_SAE).exists():
        make_meta(preset, out, recipe, progress)
    return measure_meta(preset, out, base, model, text, progress, recipe)


def make_base(
    preset: Preset,
    width: int,
    out: Path,
    text: TrainingText,
    recipe: Recipe,
    progress: Progress = silent,
) -> None:
    """Train and write the SAE of one width; the largest one is trained on with the model."""
    config = recipe.of_sae(preset, width)
    largest = width == preset.width
    scratch = cache.build(preset.kept_as)
    checkpoint = scratch / f"sae-{width}.safetensors"
    sae = train_base_sae(text, config, checkpoint=checkpoint, progress=progress)
    notes = _metadata(preset, config)
    if largest:
        further = recipe.of_follow(preset)
        sae = follow(text, sae, further, scratch / "follow.safetensors", progress)
        notes |= {"trained_on": asdict(further)}
    formats.save(replace(sae, metadata=notes), out / f"sae-{width}")


def follow(
    text: TrainingText,
    sae: SparseAutoencoder,
    config: TrainConfig,
    checkpoint: Path,
    progress: Progress = silent,
) -> SparseAutoencoder:
    """Train an SAE on so that the model's output with it spliced in follows the unedited one."""
    trainer = KLFinetuner(
        text.model, text.windows, text.activations, sae, config, text.scale, fast_dtype()
    )
    trainer.run(checkpoint, 100, progress, "Following the model's output")
    return trainer.result()


def make_words(preset: Preset, out: Path, text: TrainingText, progress: Progress = silent) -> None:
    """Collect and write the words each of the largest SAE's latents is most active on."""
    table = words_of_latents(text, formats.load(out / f"sae-{preset.width}"), progress)
    with written_whole(out / WORDS) as part:
        table.to_parquet(part, index=False, compression="zstd", compression_level=19)


def make_meta(
    preset: Preset,
    out: Path,
    recipe: Recipe,
    progress: Progress = silent,
) -> None:
    """Train and write the meta-SAE of the largest SAE's directions."""
    largest = formats.load(out / f"sae-{preset.width}")
    config = recipe.of_meta(preset)
    meta = train_meta_sae(TensorRows(largest.W_dec), config, progress=progress)
    notes = _metadata(preset, config) | {
        "trained_on": f"decoder of sae-{preset.width}",
    }
    formats.save(replace(meta, metadata=notes), out / META_SAE)


def _metadata(preset: Preset, config: TrainConfig) -> dict[str, Any]:
    """What SAELens shows about an SAE of ours."""
    return {
        "model_name": preset.model.name,
        "hook_name": preset.hook_point,
        "prepend_bos": True,
        "context_size": WINDOW,
        "training": asdict(config),
    }
