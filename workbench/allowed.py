"""What a visitor may do beyond looking, editing and searching, made from how the server is started.

The person at the machine may do all. On a server that others can reach nobody may what reads other
files, takes hours, or changes what is kept for all, unless its host allows it.
Nothing here knows Streamlit; `visitor` asks for whoever is looking at the page.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from metasae.errors import UserError
from metasae.sources.confined import inside

ALLOW, READ_ONLY = "METASAE_ALLOW", "METASAE_READ_ONLY"
"""Environment variables: what every visitor may (`Right`s with commas between, or ``all``), and
whether visitors of a server on localhost are guests too, as they are behind a proxy."""

FOLDER, PASSWORD = "METASAE_FOLDER", "METASAE_PASSWORD"
"""Environment variables: the folder that guests may name folders in, and what opens the door."""

_EVERYTHING = "all"

_OFF = ("", "0", "no", "off", "false")

_HUB = re.compile(r"[\w-][\w.-]*:[\w-][\w./-]*|[\w-][\w.-]*/[\w.-]+@[0-9a-f]{40}")
"""``RELEASE:ID`` of SAELens, ``REPO@COMMIT`` of the hub."""


class Right(StrEnum):
    """What a host allows guests or doesn't; the value is its word in `ALLOW`."""

    PATHS = "paths"
    TRAINING = "training"
    STUDIES = "studies"
    SEARCHES = "searches"
    UPLOADS = "uploads"
    SAVING = "saving"


_WHAT = {
    Right.PATHS: "Opening folders, files and releases",
    Right.TRAINING: "Training",
    Right.STUDIES: "Running studies",
    Right.SEARCHES: "Searching without a limit",
    Right.UPLOADS: "Loading other files than an edit or a list",
    Right.SAVING: "Changing the labels and masks that all see",
}
"""Each as the beginning of a sentence."""


class Refused(UserError):
    """What the host of this server doesn't allow."""


def refusal(right: Right) -> str:
    """What is refused and how the host allows it, in a sentence."""
    return (
        f"{_WHAT[right]} isn't allowed on this server; its host can allow it with {ALLOW}={right}."
    )


@dataclass(frozen=True)
class Allowed:
    """What one visitor may do.

    Attributes:
        guest: whether it may be anybody, and not only the person at this machine.
        folder: in which a guest may name folders; None: in none.
    """

    rights: frozenset[Right]
    guest: bool = False
    folder: Path | None = None

    def check(self, *rights: Right) -> None:
        """Refuse what isn't allowed.

        Raises:
            Refused: for the first of the rights that is missing.
        """
        for right in rights:
            if right not in self.rights:
                raise Refused(refusal(right))

    def place(self, text: str) -> str:
        """A folder, file or release that a visitor named, as it may be opened.

        Returns:
            What the person at the machine typed, as it is; of a guest's path the real one.

        Raises:
            Refused: when the visitor may name none.
            UserError: for a path outside the host's folder, followed through its links.
        """
        if not self.guest:
            return text
        self.check(Right.PATHS)
        if _HUB.fullmatch(text) and ".." not in text and not Path(text).exists():
            return text
        if self.folder is None:
            raise Refused(
                f"This server has no folder to open anything from; its host can name one with "
                f"{FOLDER}."
            )
        return str(inside(text, self.folder))


def allowed(
    address: str | None,
    environment: Mapping[str, str] = os.environ,
    host: str | None = None,
    guarded: bool = True,
) -> Allowed:
    """What a visitor may do.

    Args:
        address: the server listens on; None or empty: on all of this machine's.
        host: what the visitor's browser calls the server (the header Host); None: it said nothing.
            On localhost another name than the loopback's is a proxy's, or a page's that has its own
            name lead here.
        guarded: whether the server refuses requests that other sites make (CORS, XSRF).

    Raises:
        UserError: for a word in `ALLOW` that is no right.
    """
    own = is_loopback(address) and (host is None or is_loopback(_name(host))) and guarded
    if own and environment.get(READ_ONLY, "").strip().casefold() in _OFF:
        return Allowed(frozenset(Right))
    folder = environment.get(FOLDER, "").strip()
    return Allowed(_granted(environment.get(ALLOW, "")), True, Path(folder) if folder else None)


def _granted(text: str) -> frozenset[Right]:
    words = {word for part in text.split(",") if (word := part.strip().casefold())}
    if _EVERYTHING in words:
        return frozenset(Right)
    if unknown := words - set(Right):
        raise UserError(
            f"{ALLOW} says {', '.join(sorted(unknown))}, which can't be allowed; it takes "
            f"{', '.join(Right)}, or {_EVERYTHING}."
        )
    return frozenset(map(Right, words))


def is_loopback(address: str | None) -> bool:
    """Whether an address or a name leads to this machine and nowhere else, for certain."""
    name = (address or "").strip().strip("[]").casefold()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """A header Host without its port."""
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]
