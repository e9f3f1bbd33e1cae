"""What a study has worked out so far, kept so that a run that was stopped goes on from there."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metasae.sources.files import CHECKED, CHECKING, written_whole

_CHECKPOINT = ".checkpoint"


@dataclass(frozen=True)
class Parts:
    """The parts of one run, a file each.

    Attributes:
        folder: of the run; None: nothing is kept.
    """

    folder: Path | None = None

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A table that takes long to make: made once, and kept as soon as it is.

        The checkpoint of the same name is deleted then: the training it is of has ended.

        Args:
            name: tells it from the run's other parts; any text.

        Raises:
            UserError: when the folder can't be written, and whatever ``make`` raises.
        """
        if self.folder is None:
            return make()
        path = self._path(name).with_suffix(".parquet")
        try:
            return pd.read_parquet(path, **CHECKING)
        except (OSError, ValueError):  # not made yet, or damaged
            made = make()
        with written_whole(path) as part:
            made.to_parquet(part, index=False, **CHECKED)
        path.with_suffix(_CHECKPOINT).unlink(missing_ok=True)
        return made

    def checkpoint(self, name: str) -> Path | None:
        """The file of a training's checkpoint; None where nothing is kept.

        Args:
            name: tells it from the run's other trainings; any text.
        """
        return None if self.folder is None else self._path(name).with_suffix(_CHECKPOINT)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:16]
