"""What browser tests have in common: when a page is loaded, idle, and what it was sent."""

import os
import shutil
import time

import pytest
from playwright.sync_api import Page, WebSocket
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
LOADED = "[data-testid=stApp][data-test-script-state=notRunning]"
UNDRAWN = (
    "[data-testid=stSkeleton]:visible, [data-testid=stVegaLiteChart]:visible:not(:has(svg)), "
    "[data-testid=stDataFrame]:visible:not(:has(canvas))"
)
"""What is not drawn yet, and moves what stands below once it is."""

FIRST_START = 300_000
"""Milliseconds for the first page, which may download and unpack the model."""

ENDLESS = 20
"""Runs of a page that will not come to rest any more."""

BROWSER = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which(CHROMIUM), reason=f"{CHROMIUM} is not installed"),
]
"""Marks of a module of browser tests."""


class Traffic:
    """What the server sends to a page: the runs of its script and what they draw."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.runs = 0
        self.going_on = False
        self._settled = 0
        self._known: dict[str, ForwardMsg] = {}
        self._drawn: list[ForwardMsg] = []
        page.on("websocket", self._watch)

    def _watch(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._received)

    def _received(self, payload: bytes | str) -> None:
        if isinstance(payload, str):
            return
        message = ForwardMsg.FromString(payload)
        # What the page has already is sent as a reference to the earlier message.
        if message.WhichOneof("type") == "ref_hash":
            message = self._known[message.ref_hash]
        elif message.hash:
            self._known[message.hash] = message
        if message.WhichOneof("type") == "new_session":
            self.runs += 1
            self.going_on = True
        elif message.WhichOneof("type") == "script_finished":
            # After a run that ended for another one, that other one is about to begin.
            self.going_on = message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
        elif message.WhichOneof("type") == "delta":
            self._drawn.append(message)

    def settle(self, at_least: int = 0, quiet: float = 0.3, within: float = 120.0) -> int:
        """Wait until the script has run and all is drawn, and no run of it has begun for a while.

        Args:
            at_least: runs that have to begin, after a click that must lead to one.
            quiet: seconds without a new run.
            within: seconds after which a page that still runs, or never did, fails the test; long
                enough for what a page computes on its first visit. Sooner fails one whose script
                began to run `ENDLESS` times.

        Returns:
            How many runs have begun since the last call.
        """
        begun, until, since, runs = self._settled, time.monotonic() + within, 0.0, -1
        while time.monotonic() < until and self.runs - begun < ENDLESS:
            idle = not self.going_on and self.page.locator(LOADED).count() == 1
            idle = idle and self.page.locator(UNDRAWN).count() == 0
            if not idle or runs != self.runs or self.runs - begun < at_least:
                runs, since = self.runs, time.monotonic()
            elif time.monotonic() - since > quiet:
                self._settled = self.runs
                return self.runs - begun
            self.page.wait_for_timeout(50)
        raise AssertionError(
            f"not at rest within {within:g} s, after {self.runs - begun} runs, at {self.page.url}"
        )

    def outlast(self, quiet: float = 2.0, within: float = 180.0) -> None:
        """Wait while a page runs by itself, as one does whose work is under way."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            runs = self.runs
            self.page.wait_for_timeout(1000 * quiet)
            if runs == self.runs:
                self._settled = runs
                return
        raise AssertionError(f"still running by itself after {within:g} s, at {self.page.url}")

    def drawn(self) -> bytes:
        """All that was drawn since the last call."""
        sent = b"".join(message.SerializeToString() for message in self._drawn)
        self._drawn.clear()
        return sent
