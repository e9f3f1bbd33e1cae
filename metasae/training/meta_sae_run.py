"""A training run of a meta-SAE with its controls and report, resumable after a stop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions
from metasae.training import explained
from metasae.training.config import TrainConfig, check_initial
from metasae.training.controls import CONTROLS, Run
from metasae.training.meta_sae import check_recipe, train_meta_sae
from metasae.training.trainer import Moment, precision_of
from metasae.training.unfinished import TrainingRequest, check_free


def quality_of(report: dict[str, Any]) -> dict[str, Any]:
    """A training report's quality under the names that a preset's report has for its meta-SAE."""
    control = report["controls"].get("gaussian", {}).get("fve")
    return report["quality"] | {"width": report["config"]["width"], "fve_control": control}


def make(
    directions: Directions,
    config: TrainConfig,
    out: Path,
    controls: Sequence[str] = (),
    *,
    initial: Path | None = None,
    resume: bool = False,
    progress: Progress = silent,
    record: Callable[[Moment], object] = lambda moment: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """The report of a meta-SAE that is trained with its controls and written in SAELens's format.

    The report lies beside its weights, as `formats.REPORT`. Until the folder is whole, the request
    and the checkpoints lie beside the folder.

    Args:
        out: the folder, which must not exist or be empty.
        controls: keys of `controls.CONTROLS`.
        initial: folder of the meta-SAE to start from, for ``config.start`` "sae".
        resume: go on from the checkpoints of a stopped run.
        record: called after every step of the meta-SAE itself.
        stopped: asked after every step, of the meta-SAE and of its controls; True stops the run.

    Raises:
        UserError: when ``out`` holds something already, a checkpoint lies beside it and ``resume``
            is not set, or it was begun with another configuration; when another process is at it;
            when ``initial`` can't be opened; and as `meta_sae.train_meta_sae`.
        Stopped: when ``stopped`` stopped it; the checkpoint is written.
    """
    check_recipe(len(directions), config)
    start = None if initial is None else formats.load(initial)
    check_initial(config, start, directions.d_in)
    place = None if initial is None else initial.resolve()
    request = TrainingRequest(out, directions.names, config, tuple(controls), place)
    check_free(out, request.checkpoints.values(), resume)
    with request.claimed():
        request.keep()
        return _made(directions, request, start, progress, record, stopped)


def _made(
    directions: Directions,
    request: TrainingRequest,
    start: SparseAutoencoder | None,
    progress: Progress,
    record: Callable[[Moment], object],
    stopped: Callable[[], bool],
) -> dict[str, Any]:
    """See `make`."""
    config, checkpoints = request.config, request.checkpoints
    dtype = precision_of(checkpoints["meta-sae"]) or fast_dtype()

    def watch(moment: Moment) -> bool:
        record(moment)
        return stopped()

    began = time.monotonic()
    meta = train_meta_sae(
        directions, config, progress=progress, checkpoint=checkpoints["meta-sae"], dtype=dtype,
        watch=watch, initial=start,
    )  # fmt: skip
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
            name: CONTROLS[name](
                directions, config, Run(progress, checkpoints[name], dtype, lambda _: stopped())
            )
            for name in dict.fromkeys(request.controls)
        },
        "seconds_training": seconds,
    }
    notes = {"training": asdict(config), "trained_on": list(directions.names)}
    formats.save(replace(meta, metadata=notes), request.out, torch.float32, report)
    request.forget()
    return report
