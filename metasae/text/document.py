"""A text with its source, and whether it is held out from training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A text with its source.

    Attributes:
        source: name of the file or collection it is from.
        held_out: whether it is kept for measuring and never trained on.
        city: name of the city of the table the text was written for; empty: none.
        name_end: number of characters up to and including that city's name.
    """

    source: str
    text: str
    held_out: bool
    city: str = ""
    name_end: int = 0
