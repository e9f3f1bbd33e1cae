"""Trainings of meta-SAEs that have not ended: what they were asked for, kept as a file each."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metasae.errors import UserError
from metasae.sources.files import read_json, write_json
from metasae.sources.locks import claimed, is_claimed
from metasae.sources.records import from_values, to_values
from metasae.sources.versions import TRAINING, NewerError
from metasae.training.config import TrainConfig

_log = logging.getLogger(__name__)

SUFFIX = ".order.json"
"""How the name of a request's file ends."""


@dataclass(frozen=True)
class TrainingRequest:
    """A training of a meta-SAE as it was asked for; a file beside its folder until that is whole.

    Attributes:
        out: the folder that will hold the meta-SAE.
        sources: names of the directions, as `directions.open_directions` takes them.
        controls: keys of `controls.CONTROLS`.
        initial: folder of the meta-SAE it starts from, if it starts from one.
    """

    out: Path
    sources: tuple[str, ...]
    config: TrainConfig
    controls: tuple[str, ...]
    initial: Path | None = None

    @property
    def path(self) -> Path:
        """The request's file."""
        return self.out.with_name(f"{self.out.name}{SUFFIX}")

    @property
    def checkpoints(self) -> dict[str, Path]:
        """The checkpoints of the meta-SAE ("meta-sae") and of its controls, by name."""
        names = ("meta-sae", *dict.fromkeys(self.controls))
        return {name: self.out.with_name(f"{self.out.name}.{name}.checkpoint") for name in names}

    def keep(self) -> None:
        """Write the request's file, unless its training has begun already, with checkpoints.

        Raises:
            UserError: when it began with another configuration or other controls, or by a newer
                version; when the disk is full or the folder can't be written.
        """
        kept = _read(self.path)
        if not any(path.exists() for path in (kept or self).checkpoints.values()):
            self.write()
        elif kept is not None and (kept.config, kept.controls) != (self.config, self.controls):
            raise UserError(
                f"The training towards {self.out} was begun with another configuration or other "
                f"controls; go on with those, or delete {self.out.name}.*.checkpoint beside it."
            )

    def write(self) -> None:
        """Write the request's file.

        Raises:
            UserError: when the disk is full or the folder can't be written.
        """
        values = TRAINING.stamp | to_values(self)
        del values["out"]
        if self.initial is None:
            del values["initial"]
        write_json(self.path, values)

    @property
    def _lock(self) -> Path:
        return self.out.with_name(f"{self.out.name}.lock")

    @property
    def is_running(self) -> bool:
        """Whether some process of this machine trains towards it now."""
        return is_claimed(self._lock)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the only one that trains towards it; a process that is killed lets go.

        Raises:
            UserError: when another does, or the folder can't be written.
        """
        with claimed(
            self._lock,
            f"A training towards {self.out} is running already; wait for it, or choose another "
            "name.",
        ):
            yield

    def forget(self) -> None:
        """Delete the request's file and the checkpoints."""
        for path in (self.path, self._lock, *self.checkpoints.values()):
            path.unlink(missing_ok=True)


def unfinished_trainings(folder: Path) -> list[TrainingRequest]:
    """Trainings into ``folder`` that have not ended: stopped, or still run by another process.

    A request that can't be read is passed over, and the log says why.
    """
    requests = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            requests.append(_read(path))
        except NewerError:
            _log.info("%s is passed over", path, exc_info=True)
    return [request for request in requests if request is not None]


def _read(path: Path) -> TrainingRequest | None:
    """The request of a file; None, and a line in the log, when there is none to read.

    Raises:
        NewerError: when a newer version of this package wrote it.
    """
    out = path.with_name(path.name.removesuffix(SUFFIX))
    try:
        values = read_json(path)
        TRAINING.check(values, str(path))
        return from_values(TrainingRequest, {**values, "out": str(out)})
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError):
        _log.info("%s can't be read and is passed over", path, exc_info=True)
        return None


def check_free(out: Path, checkpoints: Iterable[Path], resume: bool) -> None:
    """Refuse to overwrite a folder, or to start beside a stopped training's checkpoints.

    Args:
        resume: whether the training is to go on from those checkpoints.

    Raises:
        UserError: when ``out`` holds something already, or one of the checkpoints exists and
            ``resume`` is not set.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds something already; choose another folder.")
    if not resume and any(place.exists() for place in checkpoints):
        raise UserError(
            f"A training towards {out} was stopped before its end; go on with --resume (in Python "
            f"resume=True), or delete {out.name}.*.checkpoint beside it."
        )
