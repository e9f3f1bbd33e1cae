"""Whether kept files are what they were when they were put there, told at every opening.

To hash some hundred megabytes at each would be felt. So their size and time of change are noted
with the hash, and a file is read again only where one of these is another than it was. What changes
bytes and leaves both as they were, such as a failing disk, isn't seen.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from metasae.errors import UserError
from metasae.sources.files import read_json, sha256, write_json

RECORD = "sealed.json"
"""Name of the record in a folder whose files are sealed."""


@dataclass(frozen=True)
class _Seal:
    """What a file was when it was last read.

    Attributes:
        size: in bytes.
        changed: when, in nanoseconds.
    """

    size: int
    changed: int
    sha256: str


class Seals:
    """What some files hash to, noted in a file.

    Args:
        record: that file; it needn't be there yet.

    Raises:
        ValueError: when the record is damaged.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._noted: dict[str, _Seal] = {}
        if record.exists():
            try:
                self._noted = {name: _Seal(**seal) for name, seal in read_json(record).items()}
            except (OSError, TypeError, AttributeError) as error:
                raise ValueError(f"{record} is no record of seals") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The files that are noted."""
        return tuple(self._noted)

    def holds(self, name: str, path: Path, digest: str = "") -> bool:
        """Whether a file is there and hashes to what it should; noted from then on.

        Args:
            name: in the record.
            digest: what it should hash to; what is noted when left out, and what it does where
                nothing is.
        """
        try:
            stat = path.stat()
            noted = self._noted.get(name)
            same = noted is not None and (noted.size, noted.changed) == (
                stat.st_size, stat.st_mtime_ns
            )  # fmt: skip
            found = noted.sha256 if noted is not None and same else sha256(path)
        except OSError:
            return False
        if found != (digest or (noted.sha256 if noted else found)):
            return False
        if not same:
            self._noted[name] = _Seal(stat.st_size, stat.st_mtime_ns, found)
            # Where it can't be written, the file is hashed anew the next time.
            with suppress(UserError):
                self.write()
        return True

    def write(self) -> None:
        """Write the record.

        Raises:
            UserError: when the folder can't be written.
        """
        write_json(self._record, {name: asdict(seal) for name, seal in self._noted.items()})


def seal(folder: Path) -> None:
    """Note what all files of a folder hash to, where it can be written."""
    seals = Seals(folder / RECORD)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != RECORD:
            seals.holds(path.name, path)


def is_sealed(folder: Path) -> bool:
    """Whether it was noted; folders of earlier versions weren't."""
    return (folder / RECORD).exists()


def broken(folder: Path) -> list[str]:
    """Files of a sealed folder that are gone or no longer what they were; of another, none."""
    try:
        seals = Seals(folder / RECORD)
    except ValueError:
        return [RECORD]
    return [name for name in seals.names if not seals.holds(name, folder / name)]
