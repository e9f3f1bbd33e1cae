"""A training run of a meta-SAE with its controls and report, resumable after a stop."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions
from metasae.sources.files import write_json
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.controls import CONTROLS
from metasae.training.meta_sae import check_recipe, train_meta_sae
from metasae.training.trainer import Watch
from metasae.training.unfinished import TrainingRequest, check_free

REPORT = "report.json"
"""Name of a training's report beside its weights."""


def quality_of(report: dict[str, Any]) -> dict[str, Any]:
    """A training report's quality under the names that a preset's report has for its meta-SAE."""
    control = report["controls"].get("gaussian", {}).get("fve")
    return report["quality"] | {"width": report["config"]["width"], "fve_control": control}


@dataclass(frozen=True)
class TrainedMetaSAE:
    """A trained meta-SAE and its report."""

    meta: SparseAutoencoder
    report: dict[str, Any]


def make(
    directions: Directions,
    config: TrainConfig,
    out: Path,
    controls: Sequence[str] = (),
    resume: bool = False,
    progress: Progress = silent,
    watch: Watch | None = None,
    initial: SparseAutoencoder | None = None,
) -> TrainedMetaSAE:
    """A meta-SAE trained with its controls, and written to a folder in SAELens's format.

    The report is written to `REPORT` in that folder. Until the folder is whole, the request and the
    checkpoints lie beside it.

    Args:
        out: the folder, which must not exist or be empty.
        controls: keys of `controls.CONTROLS`.
        resume: go on from the checkpoints of a stopped run.
        watch: called after every step of the meta-SAE itself; stops it by returning True.
        initial: meta-SAE to start from, for ``config.start`` "sae".

    Raises:
        UserError: when ``out`` holds something already, or a checkpoint lies beside it and
            ``resume`` is not set; and as `meta_sae.train_meta_sae`.
        Stopped: when ``watch`` stopped it; the checkpoint is written.
    """
    check_recipe(len(directions), config)
    request = TrainingRequest(out, directions.names, config, tuple(controls))
    checkpoints = request.checkpoints
    check_free(out, checkpoints.values(), resume)
    request.write()
    dtype = fast_dtype()
    began = time.monotonic()
    meta = train_meta_sae(
        directions,
        config,
        progress,
        "Meta-SAE",
        None,
        checkpoints["meta-sae"],
        dtype,
        watch,
        initial,
    )
    seconds = time.monotonic() - began
    quality = explained.quality(meta, directions)
    assert meta.threshold is not None
    report = {
        "data": [
            {"source": name, "directions": len(part)}
            for name, part in zip(directions.names, directions.parts, strict=True)
        ],
        "d_in": directions.d_in,
        "config": asdict(config),
        "precision_of_selection": str(dtype).removeprefix("torch."),
        "quality": asdict(quality) | {"threshold": float(meta.threshold[0])},
        "controls": {
            name: CONTROLS[name](directions, config, progress, checkpoints[name])
            for name in dict.fromkeys(controls)
        },
        "seconds_training": seconds,
    }
    notes = {"training": asdict(config), "trained_on": list(directions.names)}
    formats.save(replace(meta, metadata=notes), out, torch.float32)
    write_json(out / REPORT, report)
    request.forget()
    return TrainedMetaSAE(meta, report)
