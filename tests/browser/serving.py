"""A server of the workbench in a process of its own, on a free port."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metasae.sources.cache import CACHE_VARIABLE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        address: without a slash at its end.
        process: its number.
    """

    address: str
    process: int


@contextmanager
def serving(
    cache: Path,
    log: Path,
    app: str = "workbench/app.py",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server, stopped at the end.

    Args:
        cache: what it keeps on disk.
        log: file of what it writes.
        app: what is served.
        variables: of its environment, beside those of this process.
    """
    with answering(
        lambda port: [
            sys.executable, "-m", "streamlit", "run", app, f"--server.port={port}",
            "--server.headless=true",
        ],
        log, ROOT, os.environ | {CACHE_VARIABLE: str(cache)} | dict(variables or {}),
    ) as server:  # fmt: skip
        yield server


@contextmanager
def answering(
    command: Callable[[int], Sequence[str]], log: Path, folder: Path, variables: Mapping[str, str]
) -> Iterator[Server]:
    """A server that some command starts, stopped at the end.

    Args:
        command: by the port the server is to listen on.
        log: file of what it writes.
        folder: it is started in.
        variables: of its environment.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    with log.open("w") as out:
        server = subprocess.Popen(
            command(port), cwd=folder, env=variables, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_health(f"http://localhost:{port}/_stcore/health", server, log)
        yield Server(f"http://localhost:{port}", server.pid)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for_health(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"no server after a minute: {log.read_text()}")
