"""One text, where it is from, and whether it is kept for measuring."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text, where it is from, and whether it is kept for measuring."""

    source: str
    text: str
    held_out: bool
    city: str = ""
    """The city of the table whose name ends at ``name_end``, if the text was written for one."""
    name_end: int = 0
