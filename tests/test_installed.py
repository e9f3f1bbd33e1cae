"""The wheel: made from the source archive, installed without the checkout, and tried elsewhere."""

import asyncio
import os
import socket
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import NewSession
from websockets.sync.client import connect

from tests.browser.serving import answering
from tests.guest import Drawn, visit
from tests.packing import ROOT, install_beside, packed

pytestmark = [pytest.mark.slow, pytest.mark.real_model]


@dataclass(frozen=True)
class Installed:
    """An environment of its own with the wheel in it.

    Attributes:
        home: an empty folder, from which everything is run.
        site: where the wheel was unpacked.
    """

    wheel: Path
    environment: Path
    home: Path
    site: Path

    @property
    def programs(self) -> Path:
        """The environment's folder of commands."""
        return self.environment / ("Scripts" if os.name == "nt" else "bin")

    def say(self, *words: str) -> str:
        """What a command of the environment prints."""
        done = subprocess.run(
            [str(self.programs / words[0]), *words[1:]],
            cwd=self.home, env=_elsewhere(), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _elsewhere() -> dict[str, str]:
    """This environment's variables, but for what leads to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, made of the source archive alone and installed without its dependencies."""
    here = tmp_path_factory.mktemp("wheel")
    wheel = packed(here)
    environment = here / "environment"
    venv.create(environment, symlinks=os.name != "nt")
    home = here / "home"
    home.mkdir()
    return Installed(wheel, environment, home, install_beside(environment, wheel))


def test_the_wheel_holds_the_app_its_pages_and_the_weights(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as packed:
        names = set(packed.namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"metasae", "workbench"}
    expected = {
        path.relative_to(ROOT).as_posix()
        for folder in ("metasae", "workbench")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {f"workbench/_pages/{path.name}" for path in (ROOT / "pages").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert installed.wheel.stat().st_size < 100e6


def test_the_command_is_the_wheels(installed: Installed) -> None:
    where = installed.say("python", "-c", "import metasae, workbench; print(metasae.__file__)")
    assert Path(where).is_relative_to(installed.site)
    from_name = installed.wheel.name.split("-")[1]
    assert installed.say("metasae", "--version") == f"metasae {from_name}"
    assert "meta-SAE: 2,304 meta-latents" in installed.say("metasae", "info")


@pytest.fixture(scope="module")
def address(installed: Installed) -> Iterator[str]:
    """The workbench, opened by the command from the empty folder."""
    with answering(
        lambda port: [
            str(installed.programs / "metasae"), "workbench", f"--port={port}", "--",
            "--server.headless=true",
        ],
        installed.home.with_name("server.log"), installed.home, _elsewhere(),
    ) as server:  # fmt: skip
        yield server.address


def test_its_first_page_is_drawn(address: str) -> None:
    async def drawn() -> Drawn:
        async with visit(address, {}) as guest:
            return await guest.open()

    page = asyncio.run(drawn())
    assert page.complaints == []
    assert len(page.numbers) > 4  # answers of four questions


def test_its_settings_hold_from_any_folder(address: str) -> None:
    with connect(address.replace("http", "ws") + "/_stcore/stream") as stream:
        message = BackMsg()
        message.rerun_script.query_string = ""
        stream.send(message.SerializeToString())
        while True:
            told = ForwardMsg.FromString(stream.recv())
            if told.WhichOneof("type") == "new_session":
                break
    session: NewSession = told.new_session
    assert session.config.gather_usage_stats is False
    assert session.custom_theme.light.primary_color == "#0072B2"
    if sys.platform == "linux":  # where the loopback has more addresses than one
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5).close()
