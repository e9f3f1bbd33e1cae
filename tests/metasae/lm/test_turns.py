"""Turns at a model: in the order of asking, again for who has it, left by who gives up."""

import threading
import time
from collections.abc import Callable

import pytest

from metasae.lm import turns as module
from metasae.lm.turns import Turns, telling


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def started(work: Callable[[], None]) -> threading.Thread:
    """A thread that works."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def in_line(turns: Turns, count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    """Threads that ask one after the other, each with its number."""

    def ask(number: int) -> None:
        with turns:
            work(number)

    threads = []
    for number in range(count):
        threads.append(started(lambda number=number: ask(number)))  # type: ignore[misc]
        until(lambda number=number: turns.waiting == number + 1)  # type: ignore[misc]
    return threads


def test_turns_come_in_the_order_of_asking() -> None:
    turns, order = Turns(), list[int]()
    with turns:
        threads = in_line(turns, 5, order.append)
        assert turns.waiting == 5 and order == []
    for thread in threads:
        thread.join(20)
    assert order == [0, 1, 2, 3, 4] and turns.waiting == 0


def test_who_lets_go_and_asks_again_at_once_is_the_last() -> None:
    turns, order = Turns(), list[str]()
    with turns:
        threads = in_line(turns, 3, lambda number: order.append(str(number)))
    for _ in range(2):
        with turns:
            order.append("long work")
    for thread in threads:
        thread.join(20)
    assert order == ["0", "1", "2", "long work", "long work"]


def test_it_is_held_as_often_as_it_was_taken() -> None:
    turns = Turns()
    with turns, turns:
        with turns:
            pass
        threads = in_line(turns, 1, lambda number: None)
        time.sleep(0.02)
        assert turns.waiting == 1
    threads[0].join(20)
    assert turns.waiting == 0


def test_long_work_gives_way_between_its_steps_and_has_its_turn_again() -> None:
    turns, order = Turns(), list[str]()
    with turns, turns:
        threads = in_line(turns, 2, lambda number: order.append(str(number)))
        order.append("step")
        turns.give_way()
        order.append("step")
        turns.give_way()  # nobody waits
        others = in_line(turns, 1, lambda number: order.append("late"))
        assert order == ["step", "0", "1", "step"]
    for thread in threads + others:
        thread.join(20)
    assert order == ["step", "0", "1", "step", "late"]


def test_it_is_said_how_many_are_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT", 0.01)
    turns, told, go_on = Turns(), list[int](), threading.Event()

    def wait(number: int) -> None:
        go_on.wait(20)

    def listen() -> None:
        with telling(told.append), turns:
            pass

    with turns:
        first = in_line(turns, 1, wait)
        last = started(listen)
        until(lambda: told == [2])
    until(lambda: told == [2, 1])
    go_on.set()
    for thread in (*first, last):
        thread.join(20)
    assert told == [2, 1, 0]


def test_a_short_wait_is_not_announced() -> None:
    turns, told = Turns(), list[int]()

    def listen() -> None:
        with telling(told.append), turns:
            pass

    with turns:
        last = started(listen)
        until(lambda: turns.waiting == 1)
    last.join(20)
    assert told == []


def test_who_gives_up_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT", 0.01)
    turns, gone, order = Turns(), threading.Event(), list[int]()

    def leave(before: int) -> None:
        raise InterruptedError

    def ask() -> None:
        with pytest.raises(InterruptedError), telling(leave), turns:
            order.append(99)
        gone.set()

    with turns:
        started(ask)
        assert gone.wait(20) and turns.waiting == 0
        (other,) = in_line(turns, 1, order.append)
    other.join(20)
    assert order == [0]


def test_it_is_shared_while_it_goes_from_one_thread_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    turns = Turns()
    for _ in range(2):
        with turns:
            assert not turns.shared
    other = threading.Thread(target=lambda: turns.__enter__() or turns.__exit__())  # type: ignore[func-returns-value]
    other.start()
    other.join(20)
    assert turns.shared
    now[0] += module.LATELY + 1
    assert not turns.shared
