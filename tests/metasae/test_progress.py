"""How long, how far, and not too often."""

import io
from types import SimpleNamespace

import pytest

from metasae import progress
from metasae.progress import TimeLeft, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s"),
        (0.2, "0 s"),
        (48.4, "48 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.7, "1 h 00 min"),
        (3900.0, "1 h 05 min"),
        (90_000.0, "25 h 00 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_goes_by_the_stages_own_pace() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    assert left.seconds("one", 0.2) is None  # nothing to judge by yet
    clock.now += 10.0
    assert left.seconds("one", 0.2) is None  # no headway
    clock.now += 10.0
    # 0.3 took 20 s, 0.5 is left.
    assert left.seconds("one", 0.5) == pytest.approx(20 / 0.3 * 0.5)
    clock.now += 5.0
    assert left.seconds("one", 1.0) == pytest.approx(0.0)
    # A new stage starts anew: its pace is its own.
    assert left.seconds("two", 0.0) is None
    clock.now += 1.0
    assert left.seconds("two", 0.25) == pytest.approx(3.0)


def test_a_clock_that_stands_still_gives_no_estimate() -> None:
    left = TimeLeft(Clock())
    left.seconds("one", 0.0)
    assert left.seconds("one", 0.5) is None


def test_to_stream_writes_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
    out = io.StringIO()
    report = progress.to_stream(out, every=2.0)
    for percent in range(0, 101, 10):
        report("Reading", percent / 100, "ten windows")
        clock.now += 0.5
    report("Writing", 0.0, "")
    lines = out.getvalue().splitlines()
    # 0 %, then every 2 s (four calls), the stage's end at once, and the next stage's beginning.
    assert [" ".join(line.split()[:2]) for line in lines] == [
        "Reading: 0%",
        "Reading: 40%",
        "Reading: 80%",
        "Reading: 100%",
        "Writing: 0%",
    ]
    assert all("ten windows" in line for line in lines[:-1])
    assert "left" in lines[1] and "left" not in lines[3]


def test_to_stream_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    progress.to_stream()("Reading", 0.5, "")
    said = capsys.readouterr()
    assert said.out == "" and said.err == "Reading:  50%\n"


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress.silent("Reading", 0.5, "x")
    assert capsys.readouterr() == ("", "")
