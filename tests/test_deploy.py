"""What the Dockerfile says is there: files, options, the command in the place of a server."""

import ast
import re
import sys
from pathlib import Path

import pytest
from streamlit.config import get_config_options

from metasae import cli
from metasae.cli import serving
from tests.packing import SOURCE

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")


def instructions(name: str) -> list[str]:
    """The arguments of all instructions of a name, in order."""
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, flags=re.MULTILINE)


def test_the_image_is_made_of_what_a_package_is_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*" and rules[-1] == "**/__pycache__"
    taken = [rule.removeprefix("!") for rule in rules[1:-1]]
    assert set(taken) == {*SOURCE, "requirements.lock"}
    assert [name for name in taken if not (ROOT / name).exists()] == []


def test_the_image_is_started_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = instructions("ENTRYPOINT")
    program, *words = ast.literal_eval(entry)
    assert program == "metasae"
    run: list[str] = []

    def instead(_: str, given: list[str]) -> None:
        run.extend(given)
        raise SystemExit(0)

    monkeypatch.setattr(serving, "_REPLACES", True)
    monkeypatch.setattr("os.execv", instead)
    with pytest.raises(SystemExit):
        cli.main(words)
    assert run[:5] == [sys.executable, "-P", "-m", "streamlit", "run"]
    options = dict(word.removeprefix("--").split("=") for word in run[6:])
    assert set(options) <= set(get_config_options())
    # What it listens on is what is exposed and looked after.
    port = options["server.port"]
    assert instructions("EXPOSE") == [port]
    assert f":{port}/_stcore/health" in instructions("HEALTHCHECK")[0]
    assert options["server.address"] == "0.0.0.0"


def test_nobody_is_root_in_the_image() -> None:
    (user,) = instructions("USER")
    assert int(user) > 0
    after = DOCKERFILE.partition("\nUSER ")[2]
    assert "\nUSER" not in after and "ENTRYPOINT" in after


def test_the_python_of_the_image_is_one_that_is_supported() -> None:
    versions = {
        re.fullmatch(r"python:(3\.\d+)-slim", one.split()[0]) for one in instructions("FROM")
    }
    (version,) = {match and match[1] for match in versions}
    assert version in ("3.11", "3.12", "3.13")
