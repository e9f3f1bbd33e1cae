"""The folder of a preset's meta-SAE and tables: where it is, and the names of what is in it."""

from pathlib import Path

from metasae.sources import cache
from metasae.sources.presets import Preset

META_SAE = "meta-sae"
"""Folder of the preset's own meta-SAE."""

CITIES = "cities.json"

NAMES = "names.parquet"
"""The reference names and the latents active on them."""

REPORT = "report.json"

WORDS = "words.parquet"


def folder_of(preset: Preset) -> Path:
    """Where a preset's meta-SAE and tables are: shipped, or kept in the cache."""
    return preset.weights or cache.preset(preset.kept_as)


def meta_sae_folder(preset: Preset) -> Path:
    """Where the chosen meta-SAE is: the preset's own, or one of the user's."""
    if preset.meta_sae:
        return cache.meta_sae(preset.kept_as, preset.meta_sae)
    return folder_of(preset) / META_SAE
