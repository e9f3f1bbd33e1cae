"""Measuring what a build made: the report, and the table of cities."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metasae.lab.city_table import counted, measured_cities
from metasae.lab.lab import POST_PAIR, open_lab
from metasae.lab.preset_files import CITIES, META_SAE, NAMES, REPORT
from metasae.lm.language_model import LanguageModel
from metasae.progress import Progress, silent
from metasae.release.generalisation import figures_on_names
from metasae.release.material import material, text_used
from metasae.release.meta_controls import meta_controls
from metasae.release.opening import opening
from metasae.release.pair_table import pair_table
from metasae.release.recipe import SHIPPED, Recipe
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.sources.files import read_json, sha256, write_json
from metasae.sources.presets import Preset
from metasae.text.overlap import clean_windows, for_figures
from metasae.training import explained
from metasae.training.base_sae import TrainingText
from metasae.training.held_out import base_quality, held_out_batches


def measure(
    preset: Preset, out: Path, progress: Progress = silent, recipe: Recipe = SHIPPED
) -> dict[str, Any]:
    """Measure what ``out`` holds, all of it, and write its tables.

    Args:
        recipe: the one it was made with.

    Returns:
        The report, as `build` returns it.

    Raises:
        UserError: no network on first use, no space, or damaged or missing files.
    """
    text = material(preset, progress)
    base = measure_base(preset, out, text, progress)
    return measure_meta(preset, out, base, text.model, lambda: text, progress, recipe)


def measure_base(
    preset: Preset, out: Path, text: TrainingText, progress: Progress = silent
) -> dict[str, Any]:
    """The report's figures of the base SAEs, on held-out text, source by source.

    Every window counts that is of a held-out document nothing was chosen by and that has no run of
    `overlap.RUN` tokens in common with the training text. ``saes`` is of the first source alone.
    """
    saes = {width: formats.load(out / f"sae-{width}") for width in preset.widths}
    median = text.activations.median_norm
    windows = text.windows
    clean = clean_windows(windows) & for_figures(windows)
    source_of = np.array(windows.sources)[windows.document.numpy()]
    by_source = {}
    for source in dict.fromkeys(source_of[clean.numpy()].tolist()):
        among = clean & torch.from_numpy(source_of == source)
        batches = held_out_batches(windows, len(windows.lengths), among)
        by_source[source] = base_quality(
            text.model, saes, batches, text.activations.mean, median, progress
        )
    return {
        "median_norm": median,
        "text": text_used(windows),
        "saes": next(iter(by_source.values()), []),
        "saes_by_source": by_source,
    }


def kept_base(preset: Preset, out: Path) -> dict[str, Any] | None:
    """The same from the report that is there, if it was measured on the very same SAEs."""
    try:
        report = read_json(out / REPORT)
        for name in (f"sae-{width}/{formats.WEIGHTS}" for width in preset.widths):
            if report["weights_sha256"][name] != sha256(out / name):
                return None
        return {name: report[name] for name in ("median_norm", "text", "saes", "saes_by_source")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_meta(
    preset: Preset,
    out: Path,
    base: dict[str, Any],
    model: LanguageModel,
    text: Callable[[], TrainingText],
    progress: Progress = silent,
    recipe: Recipe = SHIPPED,
) -> dict[str, Any]:
    """Measure the meta-SAE and the names; write their tables and ``report.json``.

    Args:
        base: what `measure_base` returned.
        text: what the SAEs were trained on.
    """
    median = base["median_norm"]
    largest = formats.load(out / f"sae-{preset.width}")
    meta = formats.load(out / META_SAE)
    cities, reference = measured_cities(model, largest, median, progress)
    reference.save(out / NAMES)
    write_json(out / CITIES, {"cities": [record.to_dict() for record in cities]}, dense=True)
    report: dict[str, Any] = {
        "preset": str(preset.opened),
        "model": model.name,
        "hook": preset.hook_point,
        **base,
        "meta_sae": _meta_quality(preset, largest, meta, text, base["text"], recipe, progress),
        "cities": counted(cities),
        "recipe": recipe.to_dict(preset),
        "weights_sha256": {
            str(path.relative_to(out)): sha256(path) for path in sorted(out.rglob("*.safetensors"))
        },
    }
    # Written twice: the lab that the swaps are made in reads the report.
    write_json(out / REPORT, report)
    lab = open_lab(replace(preset, weights=out), progress)
    report["names"] = figures_on_names(lab, progress)
    report["tokyo_paris"] = pair_table(lab, *POST_PAIR)
    report["opening"] = opening(lab, progress)
    write_json(out / REPORT, report)
    return report


def _meta_quality(
    preset: Preset,
    largest: SparseAutoencoder,
    meta: SparseAutoencoder,
    text: Callable[[], TrainingText],
    about_text: Any,
    recipe: Recipe,
    progress: Progress,
) -> dict[str, Any]:
    """How well the meta-SAE explains the largest SAE's directions, beside its controls."""
    own = explained.quality(meta, largest.W_dec)
    controls = meta_controls(preset, largest, text, about_text, recipe, progress)
    return {
        "width": meta.width,
        "l0": own.l0,
        "fve": own.fve,
        "fve_centred": own.fve_centred,
        "dead": own.dead,
        "fve_control": controls["gaussian"]["fve"],
        "controls": controls,
        "threshold": float(meta.threshold[0]) if meta.threshold is not None else 0.0,
    }
