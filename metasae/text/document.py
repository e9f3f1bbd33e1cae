"""A text with its source, and whether it is held out from training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A text with its source.

    Attributes:
        source: name of the file or collection it is from.
        held_out: whether it is kept for measuring and never trained on.
    """

    source: str
    text: str
    held_out: bool
