"""What one search reached, as a value that goes to and from JSON."""

from dataclasses import dataclass
from typing import Any

from metasae.search.patterns import FoundEdit
from metasae.sources.records import from_values, to_values


@dataclass(frozen=True)
class Summary:
    """What a finished search reached.

    Attributes:
        patterns: the clearest edit of every reachable pattern, fewest moves first; fp32.
        combinations: how many the pair has.
        scored: how many of them were run; all, unless the search was an estimating one.
        seconds: spent on them, interruptions not counted.
        screened: whether the others' scores are from bf16.
    """

    patterns: tuple[FoundEdit, ...]
    combinations: int
    scored: int
    seconds: float
    screened: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return to_values(self)

    @staticmethod
    def from_dict(values: Any) -> "Summary":
        """The summary `to_dict` wrote, beside which there may be more.

        Raises:
            ValueError: for anything else.
            UserError: when an edit in it is none.
        """
        return from_values(Summary, values)
