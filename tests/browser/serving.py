"""A server of the workbench in a process of its own, on a free port."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
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
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", app]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--server.port", str(port), "--server.headless", "true"],
            cwd=ROOT,
            env=os.environ | {CACHE_VARIABLE: str(cache)} | dict(variables or {}),
            stdout=out,
            stderr=subprocess.STDOUT,
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
