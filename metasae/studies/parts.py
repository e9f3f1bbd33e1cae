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
        found = self.found(name)
        return self.keep(name, make()) if found is None else found

    def found(self, name: str) -> pd.DataFrame | None:
        """A table that is kept; None when it is not, or damaged.

        Args:
            name: see `table`.
        """
        if self.folder is None:
            return None
        try:
            return pd.read_parquet(self._file(name), **CHECKING)
        except (OSError, ValueError):
            return None

    def keep(self, name: str, made: pd.DataFrame) -> pd.DataFrame:
        """Keep a table that was made; returned as it is.

        Args:
            name: see `table`.

        Raises:
            UserError: when the folder can't be written.
        """
        if self.folder is not None:
            path = self._file(name)
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

    def _file(self, name: str) -> Path:
        return self._path(name).with_suffix(".parquet")

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:16]
