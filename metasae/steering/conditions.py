"""Under which condition an edit is made: where a source latent fires enough, after a token."""

import math
from dataclasses import dataclass

from pydantic import ConfigDict

from metasae.errors import UserError

LONGEST = 60
"""Bytes of a condition's text at most, so that it fits into a link in any script."""


@dataclass(frozen=True)
class Condition:
    """Where an edit is made, of the positions it acts at; all parts have to hold (`holding`).

    Attributes:
        above: only where one of the source's latents fires with more than this activation; None:
            wherever.
        after: only behind this text, which may be one token or several in a row, with a space in
            front of it or without; empty: wherever. What comes later plays no part, so that the
            same holds while a text is being written.
        including: also on the token on which that text ends.

    Raises:
        UserError: for a negative or infinite activation, or a text that is too long.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    above: float | None = None
    after: str = ""
    including: bool = False

    def __post_init__(self) -> None:
        if self.above is not None and not (math.isfinite(self.above) and self.above >= 0):
            raise UserError(
                f"An edit can't wait for an activation above {self.above:g}; give 0 or more."
            )
        object.__setattr__(self, "after", self.after.strip())
        if len(self.after.encode("utf-8", "replace")) > LONGEST:
            raise UserError(
                f"An edit waits for a text of {LONGEST} bytes at most (letters outside of ASCII "
                "have several); give a shorter one."
            )
        if not self.after:
            object.__setattr__(self, "including", False)

    @property
    def words(self) -> tuple[str, ...]:
        """Its parts in words; none where there is no condition."""
        said = [] if self.above is None else [f"only where it fires above {self.above:g}"]
        if self.after:
            begin, end = ("from", " on") if self.including else ("after", "")
            said.append(f"only {begin} “{self.after}”{end}")
        return tuple(said)


ALWAYS = Condition()
"""No condition."""
