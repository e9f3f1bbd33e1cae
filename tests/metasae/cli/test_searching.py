"""The command that searches, on a small release."""

from pathlib import Path

import pytest

from metasae import cli
from tests.command_line import run


@pytest.mark.slow
def test_a_search_tells_what_other_ways_would_add(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "search", "--preset", "small", "--source", "Tokyo", "--target", "Paris", "--ways",
    ]  # fmt: skip
    ways = run(capsys, *words)["ways"]
    assert len(ways) > 2 and len({one["name"] for one in ways}) == len(ways)
    assert not any(one["new"] for one in ways[0]["reached"])
    assert any(one["searched"] > 0 for one in ways[1:])
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "combinations in" in lines[0]
    told = lines[-len(ways) :]
    for one, line in zip(ways, told, strict=True):
        assert line.startswith(f"{one['name']}: {len(one['reached'])} patterns")
        assert (", new: " in line) == any(reached["new"] for reached in one["reached"])
        assert line.endswith(f"({one['note']})") or not one["note"]
