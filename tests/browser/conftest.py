"""A server of the workbench for all browser tests, and a page in a real browser for each."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from metasae.sources.cache import cache_dir
from tests.browser.serving import serving
from tests.browser.watching import CHROMIUM, Traffic
from tests.own_cache import own_cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache without what other tests searched and labelled."""
    with own_cache(tmp_path_factory.mktemp("cache"), cache_dir()) as folder:
        yield folder


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[str]:
    """A server of our own on a free port."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with serving(cache, log) as server:
        yield server.address
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def _watched(browser: Browser, noise: re.Pattern[str] | None = None) -> Iterator[Page]:
    """A page in a profile of its own, which fails the test on console errors and on requests that
    leave this machine.

    Args:
        noise: addresses of which the console may say that they aren't there.
    """
    complaints: list[str] = []

    def said(message: ConsoleMessage) -> None:
        expected = noise is not None and noise.search(message.location["url"])
        if message.type == "error" and not expected:
            complaints.append(f"console: {message.text}")

    with browser.new_context(viewport={"width": 1280, "height": 900}) as profile:
        page = profile.new_page()
        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(f"page: {error}"))
        page.on(
            "request",
            lambda request: (
                None if _is_local(request.url) else complaints.append(f"request: {request.url}")
            ),
        )
        yield page
    assert complaints == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A watched page."""
    with _watched(browser) as page:
        yield page


@pytest.fixture
def direct_page(browser: Browser) -> Iterator[Page]:
    """A watched page that may open addresses of pages directly, below which Streamlit first looks
    for its server in vain: that the console says so is no failure."""
    with _watched(browser, re.compile(r"/[\w-]+/_stcore/(health|host-config)$")) as page:
        yield page


def _is_local(url: str) -> bool:
    local = ("http://localhost:", "ws://localhost:", "data:", "blob:", "about:")
    return url.startswith(local)


@pytest.fixture
def traffic(page: Page) -> Traffic:
    """What the server sends to the page."""
    return Traffic(page)
