"""The command that opens the workbench in a browser."""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metasae.cli.arguments import Add, whole
from metasae.errors import UserError

_REPLACES = os.name == "posix"
"""Whether a process can be put in the place of another under the same number."""


def register(add: Add) -> None:
    """Declare the command."""
    command = add("workbench", workbench, "Open the workbench in a browser.", preset=False)
    whole(command, "--port", "of the server (default: the first free one from 8501)", 1, 65535)
    command.add_argument(
        "options",
        nargs="*",
        metavar="-- OPTION",
        help="Streamlit's own options, as in: -- --server.headless=true",
    )


@dataclass(frozen=True)
class Closed:
    """A workbench that was open."""

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {"closed": True}

    def text(self) -> str:
        """See `arguments.Result`."""
        return "The workbench is closed."


def workbench(arguments: argparse.Namespace) -> Closed:
    """Serve the workbench until it is stopped.

    Where the system can, the server takes the place of this process: who stops the command stops
    the server.

    Raises:
        UserError: where the app isn't installed, or the server ended with an error.
    """
    words = [sys.executable, *server(arguments.port, arguments.options)]
    sys.stdout.flush()
    if _REPLACES:
        os.execv(words[0], words)
    if code := subprocess.call(words):
        raise UserError(f"The server ended with code {code}; what it said stands above.")
    return Closed()


def server(port: int | None, options: list[str]) -> list[str]:
    """What Python is to run.

    The app's settings lie beside it (``.streamlit/config.toml``), so they hold in any folder. The
    folder one is in is no place to import from (``-P``), whatever its files are called.

    Args:
        options: of Streamlit, which win over the settings and over ``port``.

    Raises:
        UserError: where the app isn't installed.
    """
    found = find_spec("workbench")
    if found is None or found.origin is None:
        raise UserError("The app isn't installed beside the library; install metasae whole.")
    app = Path(found.origin).with_name("app.py")
    given = [] if port is None else [f"--server.port={port}"]
    return ["-P", "-m", "streamlit", "run", str(app), *given, *options]
