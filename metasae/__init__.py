"""Take a language model's SAE latents apart with meta-SAEs, and edit with the pieces.

The names below are the library's public face; each is imported when it is first used, so that
``import metasae`` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before any library reads it: nobody is told what is opened here, unless somebody wants that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from metasae.errors import UserError
    from metasae.explorer.explorer import Explorer, open_explorer
    from metasae.explorer.latent_page import LatentPage
    from metasae.lab.lab import Lab, open_lab
    from metasae.saes.decomposition import Decomposition
    from metasae.saes.directions import open_directions
    from metasae.saes.formats import open_sae
    from metasae.search.controls import control
    from metasae.search.exhaustive import search
    from metasae.sources.user_presets import find_preset
    from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit
    from metasae.steering.experiment import Experiment
    from metasae.steering.outcome import Outcome
    from metasae.steering.questions import Answer, Question
    from metasae.studies.registry import study
    from metasae.studies.study import Material
    from metasae.training.base_sae import read_training_text, train_base_sae
    from metasae.training.config import TrainConfig
    from metasae.training.meta_sae import train_meta_sae
    from metasae.version import __version__

__all__ = [
    "NO_EDIT",
    "Answer",
    "Decomposition",
    "Edit",
    "EditOptions",
    "Experiment",
    "Explorer",
    "Lab",
    "LatentPage",
    "LatentSwap",
    "Material",
    "MetaLatentEdit",
    "Outcome",
    "Question",
    "TrainConfig",
    "UserError",
    "__version__",
    "control",
    "find_preset",
    "open_directions",
    "open_explorer",
    "open_lab",
    "open_sae",
    "read_training_text",
    "search",
    "study",
    "train_base_sae",
    "train_meta_sae",
]

_HOMES = {
    "__version__": "metasae.version",
    "Answer": "metasae.steering.questions",
    "Decomposition": "metasae.saes.decomposition",
    "Edit": "metasae.steering.edits",
    "EditOptions": "metasae.steering.edits",
    "Experiment": "metasae.steering.experiment",
    "Explorer": "metasae.explorer.explorer",
    "Lab": "metasae.lab.lab",
    "LatentPage": "metasae.explorer.latent_page",
    "LatentSwap": "metasae.steering.edits",
    "Material": "metasae.studies.study",
    "MetaLatentEdit": "metasae.steering.edits",
    "NO_EDIT": "metasae.steering.edits",
    "Outcome": "metasae.steering.outcome",
    "Question": "metasae.steering.questions",
    "TrainConfig": "metasae.training.config",
    "UserError": "metasae.errors",
    "control": "metasae.search.controls",
    "find_preset": "metasae.sources.user_presets",
    "open_directions": "metasae.saes.directions",
    "open_explorer": "metasae.explorer.explorer",
    "open_lab": "metasae.lab.lab",
    "open_sae": "metasae.saes.formats",
    "read_training_text": "metasae.training.base_sae",
    "search": "metasae.search.exhaustive",
    "study": "metasae.studies.registry",
    "train_base_sae": "metasae.training.base_sae",
    "train_meta_sae": "metasae.training.meta_sae",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'metasae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
