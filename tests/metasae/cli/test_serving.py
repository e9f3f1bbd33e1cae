"""The command that opens the workbench: what is run in its place, and how it is refused."""

import os
import sys
from pathlib import Path

import pytest

from metasae import cli
from metasae.cli import serving
from metasae.version import __version__
from tests.command_line import refused

APP = Path(__file__).parents[3] / "workbench" / "app.py"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is run in place of the command, which then ends."""
    words: list[list[str]] = []

    def instead(program: str, given: list[str]) -> None:
        assert program == sys.executable == given[0]
        words.append(given[1:])
        raise SystemExit(0)

    monkeypatch.setattr(serving, "_REPLACES", True)
    monkeypatch.setattr(os, "execv", instead)
    return words


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], []),
        (["--port", "8601"], ["--server.port=8601"]),
        (["--", "--server.headless=true"], ["--server.headless=true"]),
        (
            ["--port=80", "--", "--server.address", "0.0.0.0", "--server.port=81"],
            ["--server.port=80", "--server.address", "0.0.0.0", "--server.port=81"],
        ),
    ],
)
def test_the_server_takes_the_commands_place(
    ran: list[list[str]], typed: list[str], expected: list[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["workbench", *typed])
    assert ran == [["-P", "-m", "streamlit", "run", str(APP), *expected]]


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_a_port_is_a_number_of_a_port(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str], port: str
) -> None:
    assert "--port" in refused(capsys, ["workbench", f"--port={port}"], (1, 2))
    assert ran == []


def test_streamlits_options_stand_behind_two_hyphens(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--server.headless" in refused(capsys, ["workbench", "--server.headless=true"], (2,))
    assert ran == []


def test_a_library_without_the_app_says_so(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert "install metasae whole" in refused(capsys, ["workbench"])
    assert ran == []


@pytest.mark.parametrize("code", [0, 3])
def test_where_nothing_takes_a_processs_place_the_server_runs_below_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    monkeypatch.setattr(serving, "_REPLACES", False)
    monkeypatch.setattr("subprocess.call", lambda words: code)
    if code:
        assert "code 3" in refused(capsys, ["workbench"])
    else:
        assert cli.main(["workbench"]) == 0
        assert "closed" in capsys.readouterr().out


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"metasae {__version__}\n"
