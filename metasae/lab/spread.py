"""Where pieces of work are done that need a lab: one after the other here, or spread elsewhere."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from metasae.lab.lab import Lab

W = TypeVar("W")
R = TypeVar("R")


class Spread(Protocol):
    """Does pieces of work somewhere and yields the place and the result of each as it is done."""

    def __call__(
        self, prepare: Callable[[Lab], Callable[[W], R]], works: Sequence[W]
    ) -> Generator[tuple[int, R], None, None]:
        """Do them, in any order.

        Args:
            prepare: what does one, on a lab that is open; called once by whoever does some. It and
                the pieces go to other processes, so they hold plain values and no lab.
        """
        ...


def here(lab: Lab) -> Spread:
    """A `Spread` that does one piece after the other in this process."""

    def spread(
        prepare: Callable[[Lab], Callable[[W], R]], works: Sequence[W]
    ) -> Generator[tuple[int, R], None, None]:
        do = prepare(lab)
        for place, work in enumerate(works):
            yield place, do(work)

    return spread
