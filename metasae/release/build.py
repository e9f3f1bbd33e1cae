"""Making the embedded default: text → residuals → SAEs of all widths → meta-SAE → city tables.

Every stage leaves its result on disk and is skipped when that is there, so a build that was stopped
goes on where it was. The results are what the repository ships, beside the report that says how
they were made and how good they are.
"""

import functools
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from metasae.errors import UserError
from metasae.lab.city_table import counted, knowledge, records
from metasae.lab.lab import open_lab
from metasae.lab.name_latents import activation_table
from metasae.lm.language_model import LanguageModel
from metasae.lm.loading import load_model
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.release.figures import ordered_pairs, sharing, swaps, well_known
from metasae.release.pair_table import pair_table
from metasae.release.starts import country_directions, start_directions
from metasae.release.words import words_of_latents
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.sources import cache
from metasae.sources.files import sha256, write_json, written_whole
from metasae.sources.presets import EMBEDDED, Preset
from metasae.text.cities import load_cities
from metasae.text.windows import WINDOW, Windows, windows
from metasae.training import explained
from metasae.training.base_sae import Text
from metasae.training.config import TrainConfig
from metasae.training.controls import gaussian_like
from metasae.training.held_out import base_quality, held_out_batches
from metasae.training.kl_finetune import KLFinetuner
from metasae.training.meta_sae import RECIPE, train_meta_sae
from metasae.training.residuals import collect
from metasae.training.rows import TensorRows
from metasae.training.trainer import Trainer

CITY_STARTS = True
"""Whether the largest SAE starts with a latent for every city: half the cities of the table would
otherwise have no direction near them at the start."""

COUNTRY_STARTS = True
"""Whether the meta-SAE starts with a meta-latent for every country: what its cities' latents have
in common beside what all cities' have. Nothing holds them there afterwards."""

BASE = TrainConfig(width=18432, k=4, steps=2600)
"""Recipe of the largest SAE; the smaller ones train for fewer steps."""

FOLLOW = replace(BASE, start="sae", steps=480, batch=768, lr=2e-4, warmup=20, decay=1.0)
"""How the largest SAE is trained on, with what the model makes of it beside squared error."""

SMALLER_STEPS = 1200

META = replace(RECIPE, batch=4096, first_k=1.0, lr=1e-3)
"""Recipe of the meta-SAE that is shipped and of its Gaussian control."""


def shipped_folder(preset: Preset) -> Path:
    """Folder of what `build` makes and `measure` measures.

    Raises:
        UserError: for a preset of other people's SAEs.
    """
    if preset.weights is None:
        raise UserError(
            f"The SAEs of {preset.opened} are made elsewhere; build and measure are for "
            f"{EMBEDDED.name}."
        )
    return preset.weights


def material(preset: Preset, progress: Progress = silent) -> Text:
    """The model, the text and the residuals, collected on first use.

    Raises:
        UserError: no network on first use, or no space.
    """
    model = load_model(preset, progress)
    text = windows(model, progress)
    folder = cache.build(preset.opened) / "activations"
    return Text(model, text, collect(model, text, folder, progress))


def base_config(width: int, largest: int) -> TrainConfig:
    """Recipe of the SAE of one width."""
    if width == largest:
        return replace(BASE, width=width)
    return replace(BASE, width=width, steps=SMALLER_STEPS)


def train_base(
    material: Text,
    config: TrainConfig,
    city_starts: bool,
    checkpoint: Path,
    progress: Progress = silent,
) -> SparseAutoencoder:
    """Train one base SAE on the residuals, started from data."""
    acts = material.activations
    directions = start_directions(material, config, city_starts)
    trainer = Trainer(acts, config, directions, acts.mean, scale=material.scale, dtype=fast_dtype())
    trainer.run(checkpoint, progress=progress, stage=f"SAE of {config.width:,} latents")
    return trainer.result()


def follow(
    material: Text, sae: SparseAutoencoder, checkpoint: Path, progress: Progress = silent
) -> SparseAutoencoder:
    """Train an SAE on so that the model's output with it spliced in follows the unedited one."""
    config = replace(FOLLOW, width=sae.width, k=sae.k or FOLLOW.k)
    trainer = KLFinetuner(
        material.model, material.windows, material.activations, sae, config, material.scale,
        fast_dtype(),
    )  # fmt: skip
    trainer.run(checkpoint, 100, progress, "Following the model's output")
    return trainer.result()


def gaussian_control(preset: Preset, width: int, progress: Progress = silent) -> SparseAutoencoder:
    """The meta-SAE of Gaussian rows, kept with the intermediate results: nobody edits with it."""
    folder = cache.build(preset.opened) / f"meta-sae-control-{width}"
    if not folder.exists():
        rows = gaussian_like(torch.zeros(preset.width, preset.model.d_model))
        config = replace(META, width=width)
        control = train_meta_sae(TensorRows(rows), config, progress, "Control on Gaussian rows")
        formats.save(control, folder)
    return formats.load(folder)


def text_used(windows: Windows) -> dict[str, dict[str, int]]:
    """Documents and tokens of each source, trained on and held out."""
    tokens: Counter[tuple[str, bool]] = Counter()
    for document, length in zip(windows.document.tolist(), windows.lengths.tolist(), strict=True):
        tokens[windows.sources[document], windows.held_out[document]] += length - 1
    documents = Counter(zip(windows.sources, windows.held_out, strict=True))
    return {
        source: {
            "documents": documents[source, False],
            "tokens": tokens[source, False],
            "held_out_documents": documents[source, True],
            "held_out_tokens": tokens[source, True],
        }
        for source in dict.fromkeys(windows.sources)
    }


def build(preset: Preset, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Make everything the preset ships, in ``out``; what is there already is kept.

    The residuals are collected only if something is missing that is made or measured with them.

    Returns:
        The report: configuration, text, seeds, and every measured figure.

    Raises:
        UserError: no network on first use, or no space.
    """
    material_of = functools.cache(lambda: material(preset, progress))
    scratch = cache.build(preset.opened)
    for width in sorted(preset.widths, reverse=True):
        folder = out / f"sae-{width}"
        if not folder.exists():
            config = base_config(width, preset.width)
            starts = CITY_STARTS and width == preset.width
            checkpoint = scratch / f"sae-{width}.safetensors"
            sae = train_base(material_of(), config, starts, checkpoint, progress)
            notes = _metadata(preset, config)
            if width == preset.width:
                sae = follow(material_of(), sae, scratch / "follow.safetensors", progress)
                notes |= {"trained_on": asdict(replace(FOLLOW, width=width))}
            formats.save(replace(sae, metadata=notes), folder)
    words = out / "words.parquet"
    if not words.exists():
        largest = formats.load(out / f"sae-{preset.width}")
        table = words_of_latents(material_of(), largest, progress)
        with written_whole(words) as part:
            table.to_parquet(part, index=False)
    base = kept_base(preset, out) or measure_base(preset, out, material_of(), progress)
    model = load_model(preset, progress)
    if not (out / "meta-sae").exists():
        largest = formats.load(out / f"sae-{preset.width}")
        config = replace(META, width=preset.meta_width)
        countries = None
        if COUNTRY_STARTS:
            countries = country_directions(model, largest, base["median_norm"], progress)
        meta = train_meta_sae(TensorRows(largest.W_dec), config, progress, "Meta-SAE", countries)
        notes = _metadata(preset, config) | {
            "trained_on": f"decoder of sae-{preset.width}",
            "started_at_countries": 0 if countries is None else len(countries),
        }
        formats.save(replace(meta, metadata=notes), out / "meta-sae")
    return measure_meta(preset, out, base, model, progress)


def measure(preset: Preset, out: Path, progress: Progress = silent) -> dict[str, Any]:
    """Measure what ``out`` holds, all of it, and write its tables."""
    material_of = material(preset, progress)
    base = measure_base(preset, out, material_of, progress)
    return measure_meta(preset, out, base, material_of.model, progress)


def measure_base(
    preset: Preset, out: Path, material_of: Text, progress: Progress = silent
) -> dict[str, Any]:
    """The report's figures of the base SAEs, on held-out text."""
    saes = {width: formats.load(out / f"sae-{width}") for width in preset.widths}
    batches = held_out_batches(material_of.windows)
    median = material_of.activations.median_norm
    return {
        "median_norm": median,
        "text": text_used(material_of.windows),
        "saes": base_quality(
            material_of.model, saes, batches, material_of.activations.mean, median, progress
        ),
    }


def kept_base(preset: Preset, out: Path) -> dict[str, Any] | None:
    """The same from the report that is there, if it was measured on the very same SAEs."""
    try:
        report = json.loads((out / "report.json").read_text())
        for name in (f"sae-{width}/{formats.WEIGHTS}" for width in preset.widths):
            if report["weights_sha256"][name] != sha256(out / name):
                return None
        return {name: report[name] for name in ("median_norm", "text", "saes")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_meta(
    preset: Preset,
    out: Path,
    base: dict[str, Any],
    model: LanguageModel,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure the meta-SAE and the cities; write ``cities.json`` and ``report.json``.

    Args:
        base: what `measure_base` found.
    """
    median = base["median_norm"]
    largest = formats.load(out / f"sae-{preset.width}")
    meta = formats.load(out / "meta-sae")
    decomposition = Decomposition(largest, meta)
    cities = load_cities()
    known = knowledge(model, cities, progress)
    table = activation_table(model, largest, cities, median, progress)
    found = records(model, largest, cities, known, table, median, progress)
    _write_json(out / "cities.json", {"cities": [record.to_dict() for record in found]})
    control = gaussian_control(preset, meta.width, progress)
    own = explained.quality(meta, largest.W_dec)
    against = explained.quality(control, gaussian_like(largest.W_dec))
    report: dict[str, Any] = {
        "preset": str(preset.opened),
        "model": model.name,
        "hook": preset.hook_point,
        **base,
        "meta_sae": {
            "width": meta.width,
            "l0": own.l0,
            "fve": own.fve,
            "fve_centred": own.fve_centred,
            "dead": own.dead,
            "fve_control": against.fve,
            "fve_centred_control": against.fve_centred,
            "l0_control": against.l0,
            "threshold": float(meta.threshold[0]) if meta.threshold is not None else 0.0,
        },
        "cities": counted(found),
        "sharing": sharing(decomposition, found),
        "recipe": {
            "base": asdict(base_config(preset.width, preset.width)),
            "follow": asdict(replace(FOLLOW, width=preset.width)),
            "smaller_steps": SMALLER_STEPS,
            "city_starts": CITY_STARTS,
            "country_starts": COUNTRY_STARTS,
            "meta": asdict(replace(META, width=preset.meta_width)),
        },
        "weights_sha256": {
            str(path.relative_to(out)): sha256(path) for path in sorted(out.rglob("*.safetensors"))
        },
    }
    _write_json(out / "report.json", report)
    lab = open_lab(replace(preset, weights=out), progress)
    names = [record.name for record in well_known(found)]
    experiments = (lab.experiment(lab.subject(a), lab.subject(b)) for a, b in ordered_pairs(names))
    report["swap"] = swaps(experiments, len(names) * (len(names) - 1), progress) | {"cities": names}
    report["tokyo_paris"] = pair_table(lab, "Tokyo", "Paris")
    _write_json(out / "report.json", report)
    return report


def _metadata(preset: Preset, config: TrainConfig) -> dict[str, Any]:
    """What SAELens shows about an SAE of ours."""
    return {
        "model_name": preset.model.name,
        "hook_name": preset.hook_point,
        "prepend_bos": True,
        "context_size": WINDOW,
        "training": asdict(config),
    }


def _write_json(path: Path, values: object) -> None:
    write_json(path, values)
