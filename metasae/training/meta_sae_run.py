"""A meta-SAE, its controls and its report as one run that resumes where it was stopped."""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metasae.errors import UserError
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent
from metasae.saes import formats
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.directions import Directions
from metasae.sources.files import write_json
from metasae.sources.records import from_values, to_values
from metasae.training import explained
from metasae.training.config import TrainConfig
from metasae.training.controls import CONTROLS
from metasae.training.meta_sae import check, train_meta_sae
from metasae.training.trainer import Watch

_log = logging.getLogger(__name__)

REPORT = "report.json"

ORDER = ".order.json"
"""How the file ends that says what an unfinished training was asked for."""


@dataclass(frozen=True)
class Order:
    """What a training was asked for; lies beside its folder until that is whole.

    Attributes:
        out: the folder that is to be.
        sources: names of the directions, as `directions.open_directions` takes them.
        controls: keys of `CONTROLS`.
    """

    out: Path
    sources: tuple[str, ...]
    config: TrainConfig
    controls: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where it is written down."""
        return self.out.with_name(f"{self.out.name}{ORDER}")

    @property
    def checkpoints(self) -> dict[str, Path]:
        """Files that the meta-SAE and its controls go on from."""
        names = ("meta-sae", *dict.fromkeys(self.controls))
        return {name: self.out.with_name(f"{self.out.name}.{name}.checkpoint") for name in names}

    def write(self) -> None:
        """Write it down.

        Raises:
            UserError: when it can't be.
        """
        values = to_values(self)
        del values["out"]
        write_json(self.path, values)

    def forget(self) -> None:
        """Delete it and what its training left to go on from."""
        for path in (self.path, *self.checkpoints.values()):
            path.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Order]:
    """Trainings towards a place in ``folder`` that have not come to their end.

    They were stopped, or another process is at them. One that can't be read is passed over.
    """
    orders = []
    for path in sorted(folder.glob(f"*{ORDER}")):
        out = path.with_name(path.name.removesuffix(ORDER))
        try:
            values = json.loads(path.read_text("utf-8"))
            orders.append(from_values(Order, {**values, "out": str(out)}))
        except (OSError, TypeError, ValueError):
            _log.info("%s can't be read and is passed over", path, exc_info=True)
    return orders


def check_free(out: Path, checkpoints: Iterable[Path], resume: bool) -> None:
    """Refuse to write over what is there, or beside what a stopped run left.

    Raises:
        UserError: when ``out`` holds something already, or a checkpoint lies there and ``resume``
            is not set.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds something already; choose another folder.")
    if not resume and any(place.exists() for place in checkpoints):
        raise UserError(
            f"A training towards {out} was stopped before its end; go on with --resume, or delete "
            f"{out.name}.*.checkpoint beside it."
        )


def quality_of(report: dict[str, Any]) -> dict[str, Any]:
    """A report's figures under the names a preset's report has for its meta-SAE."""
    control = report["controls"].get("gaussian", {}).get("fve")
    return report["quality"] | {"width": report["config"]["width"], "fve_control": control}


@dataclass(frozen=True)
class Made:
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
) -> Made:
    """Train a meta-SAE and its controls and write the folder SAELens opens, with the report.

    What a run that was stopped had done lies beside ``out`` until the folder is whole.

    Args:
        controls: keys of `CONTROLS`.
        resume: go on from what a stopped run left.
        watch: sees every step of the meta-SAE itself, and may stop it.
        initial: meta-SAE to start from, for ``config.start`` "sae".

    Raises:
        UserError: when ``out`` holds something already, a stopped run's rest lies there and
            ``resume`` is not set, and whatever `train_meta` raises.
    """
    check(len(directions), config)
    order = Order(out, directions.names, config, tuple(controls))
    places = order.checkpoints
    check_free(out, places.values(), resume)
    order.write()
    dtype = fast_dtype()
    began = time.monotonic()
    meta = train_meta_sae(
        directions, config, progress, "Meta-SAE", None, places["meta-sae"], dtype, watch, initial
    )
    seconds = time.monotonic() - began
    found = explained.quality(meta, directions)
    assert meta.threshold is not None
    report = {
        "data": [
            {"source": name, "directions": len(part)}
            for name, part in zip(directions.names, directions.parts, strict=True)
        ],
        "d_in": directions.d_in,
        "config": asdict(config),
        "precision_of_selection": str(dtype).removeprefix("torch."),
        "quality": asdict(found) | {"threshold": float(meta.threshold[0])},
        "controls": {
            name: CONTROLS[name](directions, config, progress, places[name])
            for name in dict.fromkeys(controls)
        },
        "seconds_training": seconds,
    }
    notes = {"training": asdict(config), "trained_on": list(directions.names)}
    formats.save(replace(meta, metadata=notes), out, torch.float32)
    write_json(out / REPORT, report)
    order.forget()
    return Made(meta, report)
