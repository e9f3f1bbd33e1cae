"""What Neuronpedia calls a model and a source, for ours."""

import re

from metasae.exports.directions import Directions
from metasae.sources.presets import Preset


def model_id(preset: Preset) -> str:
    """Neuronpedia's name of a preset's model; where it has none, one made of the model's own."""
    if preset.neuronpedia:
        return preset.neuronpedia.partition("/")[0]
    return re.sub(r"[^a-z0-9.]+", "-", preset.model.name.rpartition("/")[2].lower()).strip("-")


def source_id(directions: Directions) -> str:
    """Neuronpedia's name of the source that these are of: the block's number and a set's name."""
    lab = directions.explorer.lab
    preset = lab.preset
    if directions.is_meta:
        return f"{preset.hook_layer}-res-{lab.n_latents}-meta-{lab.n_meta}"
    if preset.neuronpedia:
        return preset.neuronpedia.partition("/")[2].format(width=directions.kind)
    return f"{preset.hook_layer}-res-{directions.kind}"
