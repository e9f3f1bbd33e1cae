"""So much work at a time, in the order it came, with its place in line."""

import threading
import time
from collections.abc import Callable

import pytest

from metasae.errors import UserError
from workbench.lanes import Lane
from workbench.limits import Limit

ONE, TWO = Limit("TEST_ONE", 1), Limit("TEST_TWO", 2)
FEW = Limit("TEST_FEW", 2, "{most} wait already.")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Worker:
    """Work in a lane, which ends when it is told to."""

    def __init__(self, lane: Lane, order: list["Worker"]) -> None:
        self.told: list[int] = []
        self.go_on, self.gone = threading.Event(), threading.Event()
        self.failure: BaseException | None = None
        self.give_up = False
        threading.Thread(target=self._work, args=(lane, order), daemon=True).start()

    def _work(self, lane: Lane, order: list["Worker"]) -> None:
        try:
            with lane.turn(self._tell):
                order.append(self)
                self.go_on.wait(20)
        except (UserError, InterruptedError) as error:
            self.failure = error
        self.gone.set()

    def _tell(self, before: int) -> None:
        self.told.append(before)
        if self.give_up:
            raise InterruptedError


def test_so_much_runs_at_a_time_and_the_first_to_come_is_the_next() -> None:
    lane, order = Lane(TWO), list[Worker]()
    running = [Worker(lane, order), Worker(lane, order)]
    until(lambda: len(order) == 2)
    first = Worker(lane, order)
    until(lambda: first.told)
    second = Worker(lane, order)
    until(lambda: second.told)
    assert (set(first.told), set(second.told)) == ({2}, {3}) and len(order) == 2
    running[1].go_on.set()
    until(lambda: len(order) == 3)
    assert order[2] is first
    until(lambda: second.told[-1] == 2)
    first.go_on.set()
    until(lambda: len(order) == 4)
    assert order[3] is second


def test_what_is_cancelled_in_line_leaves_it() -> None:
    lane, order = Lane(ONE), list[Worker]()
    running = Worker(lane, order)
    until(lambda: order)
    waiting, last = Worker(lane, order), None
    until(lambda: waiting.told)
    last = Worker(lane, order)
    until(lambda: last.told)
    waiting.give_up = True
    assert waiting.gone.wait(20) and isinstance(waiting.failure, InterruptedError)
    running.go_on.set()
    until(lambda: len(order) == 2)
    assert order[1] is last


def test_a_full_line_takes_no_more_and_says_so() -> None:
    lane, order = Lane(ONE, FEW), list[Worker]()
    Worker(lane, order)
    until(lambda: order)
    for _ in range(2):
        waiting = Worker(lane, order)
        until(lambda waiting=waiting: waiting.told)  # type: ignore[misc]
    refused = Worker(lane, order)
    assert refused.gone.wait(20)
    assert str(refused.failure) == "2 wait already. Who runs this server can raise TEST_FEW."


def test_work_that_fails_gives_its_turn_back() -> None:
    lane = Lane(ONE)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lane.turn(lambda before: None):
            raise ZeroDivisionError
