"""What every target of an export is: a name, what it takes, and how it is written.

A further target is one module with a `Target` in it, and its line in `registry`.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Generic, TypeVar

from metasae.errors import UserError
from metasae.lab.lab import Lab
from metasae.sources.files import check_place, check_writable, written_whole
from metasae.sources.presets import Opened
from metasae.steering.provenance import Provenance

T = TypeVar("T")

README = "README.md"
"""What a folder says of itself."""

SCRIPTS = Path(__file__).parent / "scripts"
"""What exports carry along."""


@dataclass(frozen=True)
class Target(Generic[T]):
    """Where something can be taken.

    Attributes:
        name: as ``--to`` names it.
        title: what comes of it, for people.
        takes: kinds of things it takes.
        write: writes a thing at a path where nothing is yet, and returns what has to be known of
            it, a sentence each; raises `UserError` for one that the format can't express.
        endings: of the file that is written; none: it is a folder.
        files: patterns of the names in the folder.
    """

    name: str
    title: str
    takes: tuple[type, ...]
    write: Callable[[T, Path], tuple[str, ...]]
    endings: tuple[str, ...] = ()
    files: tuple[str, ...] = (README,)

    @property
    def folder(self) -> bool:
        """Whether it is a folder that is written."""
        return not self.endings

    def check(self, out: Path) -> None:
        """See that it can be written, before work goes into it.

        Raises:
            UserError: for another ending, a place that can't be written, or a folder of others'.
        """
        if self.endings and out.suffix.lower() not in self.endings:
            raise UserError(f"{out} has none of the endings {', '.join(self.endings)}.")
        check_writable(out, self.folder)
        if self.folder:
            check_place(out, self.files, "an export")

    def export(self, thing: T, out: Path) -> tuple[str, ...]:
        """Write a thing, whole or not at all.

        Returns:
            What has to be known of it, a sentence each.

        Raises:
            UserError: as `check`, and for a thing that the format can't express.
        """
        self.check(out)
        with written_whole(out) as part:
            if self.folder:
                part.mkdir()
            return self.write(thing, part)

    def packed(self, thing: T, name: str) -> "Packed":
        """The same as one file, to be handed over: a folder as a ZIP file.

        Args:
            name: of what is written, without an ending.

        Raises:
            UserError: for a thing that the format can't express.
        """
        ending = "" if self.folder else self.endings[0]
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / f"{name}{ending}"
            said = self.export(thing, out)
            if not self.folder:
                return Packed(out.name, out.read_bytes(), said)
            whole = shutil.make_archive(str(out), "zip", scratch, out.name)
            return Packed(f"{name}.zip", Path(whole).read_bytes(), said)


@dataclass(frozen=True)
class Packed:
    """An export as one file.

    Attributes:
        said: what has to be known of it, a sentence each.
    """

    name: str
    content: bytes
    said: tuple[str, ...]


def told(lab: Lab, sae: str = "") -> Provenance:
    """What a lab's numbers came from, as others may read it: without a path of the person's.

    Args:
        sae: the SAE's name and hash where it isn't the open one.
    """
    made, preset = lab.provenance, lab.preset
    return replace(
        made,
        preset=str(Opened(preset.name, preset.meta_sae)) if preset.file else made.preset,
        model=without_path(made.model),
        sae=without_path(sae or made.sae),
        meta_sae=without_path(made.meta_sae),
    )


def without_path(text: str) -> str:
    """A name of something opened; the last part of it, without its ending, where it is a path."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute():
            return kind(text).name.replace(".json", "", 1)
    return text


def carry(script: str, folder: Path) -> None:
    """Put one of `SCRIPTS` into a folder."""
    shutil.copyfile(SCRIPTS / script, folder / script)
