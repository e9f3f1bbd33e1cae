"""Everyone can use the pages: scanned in both themes, by keyboard, read aloud, on a phone."""

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, LOADED, Traffic

pytestmark = BROWSER

PAGES = (
    "Steer", "Enumerate", "Latents", "Meta-latents", "Graph", "Studies", "RAVEL", "Train",
    "Lessons",
)  # fmt: skip

Theme = Literal["light", "dark"]

THEMES: tuple[Theme, Theme] = ("light", "dark")


def at_rest(address: str, page: Page, name: str = "Steer") -> None:
    """A page of the navigation bar, fully drawn."""
    traffic = Traffic(page)
    page.goto(address)
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    if name != "Steer":
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{name.lower()}?*", timeout=FIRST_START)
    traffic.settle()


@pytest.fixture(params=THEMES)
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page under each theme."""
    with browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=request.param
    ) as profile:
        yield profile.new_page()


def test_a_scan_of_a_warning_finds_nothing_grave(address: str, themed: Page) -> None:
    at_rest(f"{address}/?v=1&source=Nairobi&target=Madrid", themed)
    expect(themed.get_by_test_id("stAlert")).to_contain_text("does not know Nairobi's language")
    assert findings(themed) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_scan_finds_nothing_grave(name: str, address: str, themed: Page) -> None:
    at_rest(address, themed, name)
    assert findings(themed) == []


def test_a_scan_finds_what_is_wrong(page: Page) -> None:
    page.set_content(
        "<html lang=en><title>t</title><main><button></button>"
        "<p style='color:#999;background:#fff'>faint</p></main>"
    )
    assert {one.split(":")[0] for one in findings(page)} == {"button-name", "color-contrast"}


def test_a_tick_by_keyboard_is_read_out(address: str, page: Page) -> None:
    at_rest(address, page)
    region = page.get_by_role("status").first
    headline = page.get_by_role("heading", level=2).first.inner_text()
    # After the headline, what only leads the candidates; then the edit.
    expect(region).to_have_text(re.compile(rf"^{re.escape(headline)}.* This edit: no edit\.$"))
    region.evaluate("node => { node.dataset.mine = 'same'; }")
    box = page.locator("[class*='st-key-box-'] input").first
    name = box.get_attribute("aria-label") or ""
    assert re.fullmatch(r"[^*:`\[\]\\]+ \(meta-latent \d+\)", name)
    box.focus()
    page.keyboard.press("Space")
    page.wait_for_url("**edit=**", timeout=20_000)
    expect(region).to_contain_text("This edit: without “", timeout=20_000)
    # The region stays what it was: words in a new one are not read out.
    assert region.get_attribute("data-mine") == "same"


def test_the_focus_is_seen(address: str, page: Page) -> None:
    at_rest(address, page)
    page.get_by_role("button", name="Latent swap").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    outlined = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outlined == "solid"


def test_buttons_with_a_sign_have_a_name(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    at_rest(address, page)
    for name in ("Exchange", "Undo", "Redo"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_have_count(1)
        size = button.bounding_box()
        assert size is not None and size["width"] < 60


@pytest.mark.parametrize(("width", "height"), [(400, 800), (640, 450)])
def test_a_tick_shows_what_it_did_where_one_is(
    width: int, height: int, address: str, page: Page
) -> None:
    """On a phone, and at twice the size on a screen of 1280 × 900."""
    page.set_viewport_size({"width": width, "height": height})
    at_rest(address, page)
    heading = page.get_by_role("heading", level=2).first
    before = heading.inner_text()
    for box in page.locator("[class*='st-key-boxes-source'] [class*='st-key-box-'] label").all():
        if not box.is_visible():
            continue
        box.click()
        expect(heading).to_be_in_viewport(ratio=0.9)
    page.wait_for_url("**edit=**", timeout=20_000)
    page.wait_for_selector(LOADED, timeout=20_000)
    expect(heading).not_to_have_text(before, timeout=20_000)
    expect(heading).to_be_in_viewport(ratio=0.9)
    # Nothing is cut off at the side.
    assert page.evaluate("document.querySelector('.stMain').scrollWidth") <= width


def test_what_is_open_stays_in_sight(address: str, page: Page) -> None:
    at_rest(address, page)
    line = page.get_by_text("meta-SAE of 2,304")
    expect(line).to_be_in_viewport()
    page.get_by_role("tab", name="Save and share").scroll_into_view_if_needed()
    expect(line).to_be_in_viewport()
    page.get_by_role("button", name="Words explained").click()
    expect(page.get_by_text("the unit of a log-probability")).to_be_in_viewport()


def test_the_last_step_leads_to_what_is_written(address: str, page: Page) -> None:
    at_rest(address, page)
    page.get_by_role("button", name="4 · Let it write").click()
    written = page.get_by_text("I moved to Bangkok last year").last
    expect(written).to_be_in_viewport(timeout=120_000)
