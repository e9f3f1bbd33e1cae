"""What a preset that isn't shipped needs once: its meta-SAE and the tables of cities.

Made on first use with progress, kept in the cache, and gone on with where a stopped run left off.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from metasae import assets, autoencoders, batch_topk
from metasae.activations import fast_dtype
from metasae.autoencoders import SparseAutoencoder
from metasae.batch_topk import TensorRows
from metasae.catalogue import counted, knowledge, records
from metasae.cities import load_cities
from metasae.decomposition import Decomposition
from metasae.directions import checked
from metasae.errors import UserError
from metasae.locate import PLACES, activation_table
from metasae.meta_sae import RECIPE, check, gaussian_like, train_meta
from metasae.model import LanguageModel, padded
from metasae.presets import Preset
from metasae.progress import Progress, silent
from metasae.prompts import fill
from metasae.steering import Provenance


def folder_of(preset: Preset) -> Path:
    """Where a preset's meta-SAE and tables are: shipped, or kept in the cache."""
    if preset.weights is not None:
        return preset.weights
    return assets.cache_dir() / "presets" / preset.name.partition("+")[0]


def prepare(
    preset: Preset, model: LanguageModel, sae: SparseAutoencoder, progress: Progress = silent
) -> None:
    """Make what is missing in `folder_of`, in stages that each leave a file.

    Raises:
        UserError: an SAE whose directions can't be taken apart, or no space.
    """
    folder = folder_of(preset)
    if not (folder / "meta-sae").exists():
        make_meta(preset, sae, folder, progress)
    if not (folder / "cities.json").exists():
        meta = autoencoders.load(folder / "meta-sae")
        make_tables(preset, model, Decomposition(sae, meta), folder, progress)


def make_meta(
    preset: Preset, sae: SparseAutoencoder, folder: Path, progress: Progress = silent
) -> None:
    """Train the meta-SAE and its control on Gaussian rows, and measure both."""
    checked(f"The SAE of {preset.name}", sae.W_dec)
    config = replace(RECIPE, width=preset.meta_width)
    config = replace(config, batch=min(config.batch, max(16, sae.width // 3)))
    check(sae.width, config)
    trained = {}
    for name, rows in (("meta-sae", sae.W_dec), ("control", gaussian_like(sae.W_dec))):
        stage = "Meta-SAE (once)" if name == "meta-sae" else "Its control on random directions"
        place = folder / f"{name}.checkpoint"
        meta = train_meta(TensorRows(rows), config, progress, stage, None, place, fast_dtype())
        trained[name] = meta, batch_topk.quality(meta, rows)
    meta, quality = trained["meta-sae"]
    values = asdict(quality) | {"width": meta.width, "fve_control": trained["control"][1].fve}
    notes = {"training": asdict(config), "trained_on": preset.sae(sae.width), "quality": values}
    autoencoders.save(replace(meta, metadata=notes), folder / "meta-sae", torch.float32)
    for name in trained:
        (folder / f"{name}.checkpoint").unlink(missing_ok=True)


def make_tables(
    preset: Preset,
    model: LanguageModel,
    decomposition: Decomposition,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Ask the model about the cities, find their latents, and write the tables."""
    cities = load_cities()
    median = usual_norm(model)
    provenance = Provenance(preset.name, model.name, preset.hook_point, "", "", "")
    known = knowledge(model, decomposition, cities, provenance, progress)
    table = activation_table(model, decomposition.sae, cities, median, progress)
    found = records(model, decomposition, cities, known, table, median, provenance, progress)
    weights = f"meta-sae/{autoencoders.WEIGHTS}"
    report: dict[str, Any] = {
        "preset": preset.name,
        "model": model.name,
        "hook": preset.hook_point,
        "median_norm": median,
        "saes": [],
        "meta_sae": decomposition.meta.metadata.get("quality", {}),
        "cities": counted(found),
        "weights_sha256": {weights: assets.sha256(folder / weights)},
    }
    # The cities last: their file says that all is there.
    for name, values in (
        ("report.json", report),
        ("cities.json", {"cities": [record.to_dict() for record in found]}),
    ):
        with assets.written_whole(folder / name) as part:
            part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def usual_norm(model: LanguageModel) -> float:
    """Median norm of the residual stream at the hook over sentences about cities.

    The start token is left out, on which the norm is off the scale.

    Raises:
        UserError: when the model gives nothing finite.
    """
    norms = []
    for city in load_cities()[:20]:
        rows = [model.prompt_tokens(fill(template, city.name)) for template in PLACES]
        resid = model.residual(padded(rows, model.start_token))
        norms += [one[1 : len(row)].norm(dim=-1) for one, row in zip(resid, rows, strict=True)]
    median = float(torch.cat(norms).median())
    if not 0 < median < float("inf"):
        raise UserError(
            f"{model.name} gives a residual stream that is not finite or zero before layer "
            f"{model.hook_layer}; its weights are damaged."
        )
    return median
