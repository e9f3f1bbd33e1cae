"""What is done here is done in order, on the lab that is open, and only when it is asked for."""

from collections.abc import Callable

from metasae.lab.lab import Lab
from metasae.lab.spread import here


def test_each_is_done_when_its_turn_comes(small_lab: Lab) -> None:
    done: list[str] = []

    def prepare(lab: Lab) -> Callable[[str], int]:
        assert lab is small_lab
        done.append("prepared")

        def do(work: str) -> int:
            done.append(work)
            return len(work)

        return do

    coming = here(small_lab)(prepare, ["one", "three"])
    assert done == []
    assert next(coming) == (0, 3) and done == ["prepared", "one"]
    assert list(coming) == [(1, 5)] and done == ["prepared", "one", "three"]
