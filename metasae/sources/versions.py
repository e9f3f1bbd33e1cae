"""Versions of what is written for later: each file and link says its own; a newer one is refused.

What says none is of version 1: so it was before versions were written. A version counts up when
what is written can no longer be read by the code before; a key more is no new version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metasae.errors import UserError

KEY = "format"
"""A file's key for its version; a link's is ``v``."""


class NewerError(UserError):
    """A newer version of this package wrote it: it is whole, and must be left as it is."""


@dataclass(frozen=True)
class Format:
    """One kind of thing that is written and read back.

    Attributes:
        newest: the version that is written, and the newest that can be read.
    """

    newest: int = 1

    @property
    def stamp(self) -> dict[str, int]:
        """What a file says of its version, to be merged into the rest."""
        return {KEY: self.newest}

    def check(self, values: Any, where: str) -> None:
        """See that what was read can be.

        Args:
            values: of the file's JSON.
            where: what is read, as the beginning of a sentence.

        Raises:
            NewerError: when a newer version of this package wrote it.
            ValueError: when it is no object, or what stands there is no version.
        """
        if not isinstance(values, Mapping):
            raise ValueError("no object")
        version = values.get(KEY, 1)
        if type(version) is not int or version < 1:
            raise ValueError(f"{version!r} is no version")
        if version > self.newest:
            raise NewerError(
                f"{where} is of another version of this package, a newer one (format {version:,}; "
                f"this one reads up to {self.newest:,}); update metasae to open it."
            )


LINK = Format()
"""Of a link's query (`steering.link`)."""

EDIT = Format()
"""Of an edit with what it did, as Steer and the command line write it (`steering.outcome`)."""

MASK = Format()
"""Of a learned mask's file (`ravel.masks`)."""

SEARCH = Format()
"""Of the JSON files in a search's folder (`search.job_files`)."""

TRAINING = Format()
"""Of a training's request, its checkpoints and its residuals (`training`)."""

RUN = Format()
"""Of the folder of a study's run, RAVEL's too (`studies.runs`)."""

RESULT = Format()
"""Of the folder of a study's result (`studies.result_folder`)."""

EVIDENCE = Format()
"""Of the evidence and labels of an SAE (`explorer.evidence`, `explorer.describing`)."""

LIST = Format()
"""Of a list's file (`explorer.lists`)."""

LABELS = Format()
"""Of the file of labels people wrote (`explorer.corrections`)."""
