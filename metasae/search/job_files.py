"""Files of a search's folder: written whole, read back checked, owned by one search."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from metasae.errors import UserError
from metasae.sources.files import read_json, write_json
from metasae.sources.versions import SEARCH, NewerError

T = TypeVar("T")


def digest(values: Any) -> str:
    """A short name of JSON-able values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def damaged(path: Path) -> UserError:
    """What is said of a file that can't be read, or is another search's."""
    return UserError(
        f"{path} is damaged or of another search; delete it and start the search again, what else "
        "was computed stays."
    )


def read_record(path: Path, make: Callable[[Any], T]) -> T:
    """What was made of a file's JSON-able values.

    Raises:
        UserError: when it is damaged, or of a newer version.
    """
    try:
        values = read_json(path)
        SEARCH.check(values, str(path))
        return make(values)
    except NewerError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise damaged(path) from error


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write a file that `read_record` reads.

    Raises:
        UserError: when it can't be written.
    """
    write_json(path, SEARCH.stamp | values)


def claim(folder: Path, identity: str, values: Callable[[], dict[str, Any]]) -> bool:
    """Make the folder a job's that runs, or see that it is; returns whether bf16 goes first there.

    Which precision goes first is measured, so the first answer is kept.

    Raises:
        UserError: when it can't be written or is another job's.
    """
    path = folder / "job.json"
    if not path.exists():
        write_record(path, values())
    owner, bf16 = read_record(path, lambda values: (values["id"], bool(values["bf16"])))
    check_owner(folder, owner, identity)
    return bf16


def check_owner(folder: Path, owner: str, identity: str) -> None:
    """Refuse a folder of another job.

    Raises:
        UserError: when the job that wrote there is another one.
    """
    if owner != identity:
        raise UserError(f"{folder} holds another search; choose an empty folder.")


@dataclass(frozen=True)
class State:
    """How far a job is, read from its folder by whoever wants to know.

    Attributes:
        done, total: combinations, or pairs of a `PairsJob`.
        finished: whether the summary is there too.
    """

    done: int
    total: int
    finished: bool


@dataclass(frozen=True)
class Cost:
    """What is still to be done for a job, as far as a probe tells.

    Attributes:
        combinations: to be scored, at most.
        seconds: it takes here.
        megabytes: of memory it takes beside the opened model's.
    """

    combinations: int
    seconds: float
    megabytes: float
