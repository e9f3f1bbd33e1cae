"""Makes what a preset that isn't shipped needs once: its meta-SAE and the tables of cities.

Made on first use with progress and kept in the cache. A stopped training of the meta-SAE is gone on
with; tables that were not finished are made anew.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from metasae.errors import UserError
from metasae.lab.city_table import counted, measured_cities
from metasae.lab.preset_files import CITIES, META_SAE, NAMES, REPORT, folder_of
from metasae.lm.language_model import LanguageModel, padded
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.saes.directions import Directions
from metasae.sources.files import read_json, sha256, write_json, written_whole
from metasae.sources.presets import Preset
from metasae.sources.releases import SAELENS, repo_folder
from metasae.text.cities import load_cities
from metasae.text.prompts import in_contexts
from metasae.training import meta_sae_run
from metasae.training.meta_sae import RECIPE


def prepare(
    preset: Preset, model: LanguageModel, sae: SparseAutoencoder, progress: Progress = silent
) -> None:
    """Make what is missing in `folder_of`, in stages that each leave a file.

    Raises:
        UserError: an SAE whose directions can't be taken apart, or no space.
    """
    folder = folder_of(preset)
    if not (folder / META_SAE / formats.REPORT).exists():
        make_meta(preset, sae, folder, progress)
    # Tables of earlier versions came without reference names.
    if not ((folder / CITIES).exists() and (folder / NAMES).exists()):
        meta = formats.load(folder / META_SAE)
        make_tables(preset, model, Decomposition(sae, meta), folder, progress)


def make_meta(
    preset: Preset, sae: SparseAutoencoder, folder: Path, progress: Progress = silent
) -> None:
    """Train the meta-SAE and its control on Gaussian rows, or take the one that was shared."""
    if preset.meta_source:
        names = (*SAELENS, formats.REPORT)
        shared = repo_folder(preset.meta_source, names, progress=progress)
        Decomposition(sae, formats.load(shared))  # it is one, and of this SAE's width
        with written_whole(folder / META_SAE) as part:
            part.mkdir()
            for name in names:
                shutil.copyfile(shared / name, part / name)
        return
    config = replace(RECIPE, width=preset.meta_width)
    config = replace(config, batch=min(config.batch, max(16, sae.width // 3)))
    directions = Directions((preset.sae(sae.width),), (sae.W_dec,))
    meta_sae_run.make(
        directions, config, folder / META_SAE, ("gaussian",), resume=True, progress=progress
    )


def make_tables(
    preset: Preset,
    model: LanguageModel,
    decomposition: Decomposition,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Ask the model about the cities, find their latents, and write the tables."""
    median = usual_norm(model)
    cities, reference = measured_cities(model, decomposition.sae, median, progress)
    weights = f"{META_SAE}/{formats.WEIGHTS}"
    trained = folder / META_SAE / formats.REPORT
    try:
        quality = meta_sae_run.quality_of(read_json(trained))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{trained} is damaged; delete {trained.parent} and open the preset again, which makes "
            "it anew."
        ) from error
    report: dict[str, Any] = {
        "preset": str(preset.opened),
        "model": model.name,
        "hook": preset.hook_point,
        "median_norm": median,
        "saes": [],
        "meta_sae": quality,
        "cities": counted(cities),
        "weights_sha256": {weights: sha256(folder / weights)},
    }
    reference.save(folder / NAMES)
    # The cities last: their file says that all is there.
    for name, values in (
        (REPORT, report),
        (CITIES, {"cities": [record.to_dict() for record in cities]}),
    ):
        write_json(folder / name, values)


def usual_norm(model: LanguageModel) -> float:
    """Median norm of the residual stream at the hook over sentences about cities.

    The start token is left out, on which the norm is off the scale.

    Raises:
        UserError: when the model gives nothing finite.
    """
    norms = []
    for city in load_cities()[:20]:
        rows = [model.prompt_tokens(prompt) for prompt in in_contexts(city.name)]
        resid = model.residual(padded(rows, model.start_token))
        norms += [one[1 : len(row)].norm(dim=-1) for one, row in zip(resid, rows, strict=True)]
    median = float(torch.cat(norms).median())
    if not 0 < median < float("inf"):
        raise UserError(
            f"{model.name} gives a residual stream that is not finite or zero before layer "
            f"{model.hook_layer}; its weights are damaged."
        )
    return median
