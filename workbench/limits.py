"""How much there may be at once, and the sentence for each limit that is reached.

Each is a number in an environment variable of the server; see docs/classroom.md. What is uploaded
is limited by Streamlit's own ``server.maxUploadSize``.
"""

import os
from dataclasses import dataclass

from metasae.errors import UserError


@dataclass(frozen=True)
class Limit:
    """One number.

    Attributes:
        variable: of the environment.
        usual: where the variable isn't set.
        reached: what is said when there are so many, with a place for the number.
    """

    variable: str
    usual: int
    reached: str = ""

    @property
    def most(self) -> int:
        """The number.

        Raises:
            UserError: when the variable holds no whole number from 1.
        """
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.usual
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
            raise UserError(
                f'{self.variable} is "{text[:40]}"; write a whole number from 1, or leave it out.'
            )
        return int(text)

    def error(self) -> UserError:
        """That it is reached, and what to do."""
        said = self.reached.format(most=f"{self.most:,}")
        return UserError(f"{said} Who runs this server can raise {self.variable}.")


SESSIONS = Limit(
    "METASAE_SESSIONS",
    40,
    "{most} browser tabs are open on this server, which is as many as it takes; try again when "
    "somebody has left.",
)

LONG = Limit("METASAE_LONG_WORK", 2)
"""Searches of a page of their own, trainings and studies that run at a time."""

WAITING = Limit(
    "METASAE_WAITING",
    12,
    "{most} others wait already to search, train or run a study, which is as many as may; try "
    "again when some have ended.",
)

SHORT = Limit("METASAE_SHORT_WORK", 4)
"""Other work beside the pages that runs at a time."""

SEARCHES = Limit(
    "METASAE_SEARCHES",
    20,
    "{most} searches were begun from your address within the hour, as many as guests may.",
)

PAIRS = Limit("METASAE_PAIRS", 40)
"""Pairs that are kept ready to be edited."""

EDITS = Limit("METASAE_EDITS", 400)
"""Edits whose numbers are kept."""

ALL = (SESSIONS, LONG, WAITING, SHORT, SEARCHES, PAIRS, EDITS)


def check() -> None:
    """Read them all.

    Raises:
        UserError: for a variable that holds no number.
    """
    for limit in ALL:
        _ = limit.most
