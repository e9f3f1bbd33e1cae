"""The main job of every page without a mouse: Tab, Enter, Space, arrows and letters."""

import re

from playwright.sync_api import Page, expect

from tests.browser.measuring import cut_off_at_all_widths, tab_to
from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

SOON = 20_000
LONG = 240_000


def opened(address: str, page: Page, traffic: Traffic, name: str, query: str = "v=1") -> None:
    """A page of the navigation bar, chosen there by keyboard."""
    page.goto(f"{address}/?{query}")
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    traffic.settle()
    if name:
        tab_to(page, page.get_by_role("link", name=name, exact=True))
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{name.lower()}?*", timeout=SOON)
        traffic.settle(at_least=1)


def press(page: Page, name: str) -> None:
    """Come to a button by Tab and press it."""
    button = page.get_by_role("button", name=name, exact=True)
    expect(button).to_be_visible(timeout=SOON)
    tab_to(page, button)
    page.keyboard.press("Enter")


def run_and_cancel(page: Page) -> None:
    """Run a study, and cancel it by the time its link is there."""
    press(page, "Run")
    page.wait_for_url("**run=**", timeout=SOON)
    press(page, "Cancel")
    expect(page.get_by_role("button", name="Go on")).to_be_visible(timeout=LONG)


def open_second_row(page: Page) -> None:
    """Come to the first table by Tab, and open a row of it."""
    tab_to(page, page.locator("[data-testid=stDataFrame]:visible canvas[tabindex]").first)
    expect(page.get_by_test_id("stDataFrameResizable").first).to_have_attribute(
        "aria-label", re.compile("opens a row$")
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Space")


def test_steer(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "", "v=1&source=Tokyo&target=Paris")
    box = page.locator("[class*='st-key-box-'] input").first
    tab_to(page, box)
    page.keyboard.press("Space")
    page.wait_for_url("**edit=**", timeout=SOON)
    traffic.settle(at_least=1)
    # The focus stays on the box, which the same key ticks again.
    page.keyboard.press("Space")
    page.wait_for_url(lambda url: "edit=" not in url, timeout=SOON)
    traffic.settle(at_least=1)
    page.keyboard.press("Shift+Tab")
    tab_to(page, page.get_by_role("tab", name="Let it write"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Answers, with commas between them")).to_be_visible(timeout=SOON)


def test_a_city_is_typed(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "")
    tab_to(page, page.get_by_role("combobox", name=re.compile("^(Selected .*)?Source")))
    page.keyboard.type("Moscow")
    page.keyboard.press("Enter")
    page.wait_for_url("**source=Moscow**", timeout=SOON)


def test_enumerate_is_cancelled_and_resumed(address: str, direct_page: Page) -> None:
    page = direct_page
    opened(address, page, Traffic(page), "Enumerate", "v=1&source=Bangkok&target=Madrid")
    start = page.get_by_role("button", name=re.compile("Try all"))
    tab_to(page, start)
    page.keyboard.press("Enter")
    press(page, "Cancel")
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
    expect(page.get_by_text(re.compile(r"[1-9][\d,]* of 1,024 are done"))).to_be_visible()
    page.reload()
    press(page, "Resume")
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    press(page, "Cancel")
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_latents(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Latents")
    tab_to(page, page.get_by_role("textbox", name="Search"))
    page.keyboard.type("She flew to Paris")
    page.keyboard.press("Enter")
    expect(page.get_by_text("token by token: the deeper")).to_be_visible(timeout=LONG)
    traffic.settle()
    press(page, "Paris")
    page.wait_for_url("**token=4**", timeout=SOON)
    traffic.settle(at_least=1)
    open_second_row(page)
    page.wait_for_url("**latent=**", timeout=SOON)
    expect(page.get_by_text(re.compile(r"Latent \d+ of 18,432"))).to_be_visible(timeout=SOON)


def test_meta_latents(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Meta-latents")
    tab_to(page, page.get_by_role("textbox", name="Filter"))
    page.keyboard.type("country")
    page.keyboard.press("Enter")
    traffic.settle(at_least=1)
    open_second_row(page)
    page.wait_for_url("**meta=**", timeout=SOON)
    expect(page.get_by_text("Part of", exact=True)).to_be_visible(timeout=SOON)


def test_graph(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Graph")
    tab_to(page, page.get_by_role("slider", name="Latents around each"))
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**top=6**", timeout=SOON)
    traffic.settle(at_least=1)
    tab_to(page, page.get_by_test_id("stExpander").filter(has_text="The same as a table"))
    page.keyboard.press("Enter")
    open_second_row(page)
    page.wait_for_url(re.compile("latent=|meta="), timeout=SOON)


def test_studies(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Studies")
    ask = page.locator(".st-key-open-saebench button:visible")
    tab_to(page, ask)
    page.keyboard.press("Enter")
    page.wait_for_url("**study=saebench**", timeout=SOON)
    traffic.settle(at_least=1)
    run_and_cancel(page)


def test_ravel(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "RAVEL")
    run_and_cancel(page)


def test_train(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Train")
    for name, value in (("Meta-latents", "64"), ("Training steps", "5"), ("Batch size", "64")):
        tab_to(page, page.get_by_role("spinbutton", name=name))
        page.keyboard.press("Control+a")
        page.keyboard.type(value)
        page.keyboard.press("Enter")
        traffic.settle(at_least=1)
    tab_to(page, page.get_by_role("textbox", name="Name"))
    page.keyboard.press("Control+a")
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Enter")
    traffic.settle(at_least=1)
    press(page, "Train")
    expect(page.get_by_text("Variance explained").first).to_be_visible(timeout=LONG)
    assert cut_off_at_all_widths(page, traffic) == []
    assert findings(page) == []
    press(page, "Close")
