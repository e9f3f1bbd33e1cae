"""RAVEL's result in a real browser: read, scanned, a prompt opened in Steer, a mask taken there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from metasae.sources.cache import CACHE_VARIABLE
from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

SOON = 20_000


@pytest.fixture(scope="module")
def run(cache: Path) -> str:
    """A run of two cities and two steps, in the server's cache."""
    command = [sys.executable, "-m", "metasae", "ravel", "--quick", "--sources", "2"]
    small = ["--steps", "2", "--methods", "nothing,latent-swap,mask-gradient", "--json"]
    done = subprocess.run(
        [*command, *small],
        env=os.environ | {CACHE_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return str(json.loads(done.stdout)["run"])


@pytest.fixture
def page(direct_page: Page) -> Page:
    """Not watched for what the console says."""
    return direct_page


def at_rest(address: str, page: Page, run: str) -> None:
    seen = Traffic(page)
    page.goto(f"{address}/ravel?run={run}")
    expect(page.get_by_text("City by city")).to_be_visible(timeout=FIRST_START)
    seen.settle()


def test_a_result_has_no_grave_finding_and_fits_a_phone(
    address: str, run: str, browser: Browser
) -> None:
    for theme, width in (("light", 1280), ("dark", 400)):
        with browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type]
        ) as profile:
            page = profile.new_page()
            at_rest(address, page, run)
            assert findings(page) == []
            assert page.evaluate("document.querySelector('.stMain').scrollWidth") <= width


def test_a_prompt_opens_in_steer(address: str, run: str, page: Page) -> None:
    at_rest(address, page, run)
    prompt = page.get_by_role("combobox", name="Prompt").input_value()
    page.locator(".st-key-ravel-steer button").click()
    expect(page.get_by_text("untick to take away").first).to_be_visible(timeout=SOON)
    # The prompt that was asked is what Steer asks.
    page.wait_for_url("**ask=**", timeout=SOON)
    assert parse_qs(urlsplit(page.url).query)["ask"] == [prompt]


def test_a_mask_is_saved_and_found_on_steer(address: str, run: str, page: Page) -> None:
    at_rest(address, page, run)
    with page.expect_download() as waited:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert json.loads(waited.value.path().read_text("utf-8"))["run"] == run
    page.get_by_role("textbox", name="Save it as").fill("From the browser")
    page.get_by_role("textbox", name="Save it as").press("Enter")
    page.get_by_role("button", name="Save for Steer").click()
    expect(page.get_by_text("Saved as “From the browser”")).to_be_visible(timeout=SOON)
    page.get_by_role("link", name="Steer", exact=True).click()
    page.get_by_role("button", name="Masks").click(timeout=SOON)
    expect(page.get_by_role("button", name="From the browser", exact=True)).to_be_visible(
        timeout=SOON
    )
