"""Studies in a real browser: one is asked, watched, read, opened by its link; one is cancelled."""

import json
import re
from collections.abc import Iterator
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

SOON = 20_000
LONG = 240_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on errors of its scripts.

    Not on what the console notes: opened by its link, Streamlit looks for its own files below the
    page's path before it finds them.
    """
    complaints: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as profile:
        page = profile.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
    assert complaints == []


def opened(address: str, page: Page, traffic: Traffic, place: str = "") -> None:
    page.goto(f"{address}/studies{place}")
    # A study's name, once the model is loaded.
    expect(page.get_by_test_id("stMain").locator("h2, h3").first).to_be_visible(timeout=FIRST_START)
    traffic.settle()


def reopened(page: Page) -> None:
    """The page by its link; how far a run is was drawn too often for its traffic to be counted."""
    seen = Traffic(page)
    page.goto(page.url)
    seen.settle(at_least=1)


def fill(page: Page, name: str, value: str) -> None:
    field = page.get_by_role("spinbutton", name=name)
    field.fill(value)
    field.press("Enter")


def test_a_study_is_asked_watched_read_and_opened_by_its_link(
    address: str, page: Page, traffic: Traffic, browser: Browser
) -> None:
    opened(address, page, traffic)
    page.locator(".st-key-open-saebench button:visible").click()
    page.wait_for_url("**study=saebench**", timeout=SOON)
    page.locator(".st-key-settings-saebench summary").click()
    fill(page, "Steps", "20")
    page.wait_for_url(re.compile("set=steps%3A20"), timeout=SOON)
    fill(page, "Starts", "1")
    page.wait_for_url(re.compile("starts%3A1"), timeout=SOON)
    # What was changed is in the link before it is asked.
    page.goto(page.url)
    traffic.settle(at_least=1)
    expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("20")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**run=**", timeout=SOON)
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    expect(page.get_by_text(re.compile("Meta-SAE 1 of 1|Gaussian rows 1 of 1"))).to_be_visible(
        timeout=LONG
    )
    verdict = page.get_by_role("heading", name=re.compile(r"A meta-SAE of 4,608 .* explains"))
    expect(verdict).to_be_visible(timeout=LONG)
    assert "set=" not in page.url
    reopened(page)
    assert findings(page) == []
    with page.expect_download() as waited:
        page.get_by_role("button", name="Everything as ZIP").click()
    with ZipFile(waited.value.path()) as packed:
        assert packed.testzip() is None
        (result,) = (one for one in packed.namelist() if one.endswith("/result.json"))
        assert json.loads(packed.read(result))["verdict"].startswith(verdict.inner_text()[:-1])
    with browser.new_context(
        viewport={"width": 400, "height": 800}, color_scheme="dark"
    ) as another:
        phone = another.new_page()
        seen = Traffic(phone)
        phone.goto(page.url)
        expect(phone.get_by_role("heading", name=verdict.inner_text())).to_be_visible(timeout=LONG)
        seen.settle()
        assert findings(phone) == []
        # Nothing is cut off at the side.
        assert phone.evaluate("document.querySelector('.stMain').scrollWidth") <= 400
    # The same is not worked out again; it stands among the others on the first page.
    page.get_by_role("button", name="All studies").click()
    expect(page.get_by_text(f"Here: {verdict.inner_text()}")).to_be_visible(timeout=SOON)


def test_a_study_is_cancelled_and_gone_on_with(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "?study=saebench")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**run=**", timeout=SOON)
    expect(page.get_by_text(re.compile("step [0-9]+ of"))).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_test_id("stAlert")).to_contain_text("was cancelled", timeout=LONG)
    go_on = page.get_by_role("button", name="Go on")
    go_on.click(timeout=SOON)
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Cancel").click(timeout=SOON)
    expect(go_on).to_be_visible(timeout=LONG)
    reopened(page)
    assert findings(page) == []
    expect(go_on).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stException")).to_have_count(0)
