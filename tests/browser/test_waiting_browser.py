"""Waiting in a real browser: a click is answered while work is under way, and none is queued."""

import re
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

BOXES = "[class*='st-key-box-'] label"


def opened(address: str, page: Page, traffic: Traffic) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    traffic.settle()


def picture(page: Page) -> str:
    return page.get_by_test_id("stVegaLiteChart").first.locator("svg").text_content() or ""


def edit(page: Page) -> str:
    return parse_qs(urlsplit(page.url).query).get("edit", ["none"])[0]


def test_clicks_in_a_row_are_answered_together(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic)
    before = picture(page)
    clicks = 4
    for number in range(clicks):
        page.locator(BOXES).nth(number).click()
    # None is lost, and no run is left over for what the page shows already.
    assert traffic.settle(at_least=1) <= clicks + 1
    assert len(edit(page).split("~")) == clicks
    shown = picture(page)
    assert shown != before
    page.goto(page.url)
    traffic.settle(at_least=1)
    assert picture(page) == shown


def test_a_box_is_answered_while_the_best_edits_are_looked_for(
    address: str, page: Page, traffic: Traffic
) -> None:
    opened(address, page, traffic)
    before = picture(page)
    page.locator(".st-key-best-edits label").first.click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible(timeout=10_000)
    expect(page.get_by_text(re.compile(r"\d+ of 1,024 combinations"))).to_be_visible(timeout=20_000)
    page.locator(BOXES).first.click()
    page.wait_for_url("**edit=**", timeout=20_000)
    expect(page.get_by_test_id("stVegaLiteChart").first).not_to_have_text(before, timeout=20_000)
    # Other options are another search, which is cancelled.
    page.get_by_role("button", name="Options").click()
    page.locator(".st-key-option-keep_error label").first.click()
    page.keyboard.press("Escape")
    page.wait_for_url("**noerror**", timeout=20_000)
    # Until the page is drawn anew the button is that of the search before, which is over.
    for _ in range(4):
        cancel.click(timeout=20_000)
        with suppress(AssertionError):
            expect(page.get_by_text("cancelled.")).to_be_visible(timeout=3_000)
            break
    expect(page.get_by_text("cancelled.")).to_be_visible()
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    page.get_by_role("button", name="Start again").click()
    # Begun anew it is cancelled no more; its end is a matter of the machine's speed.
    expect(page.get_by_text("cancelled.")).to_have_count(0, timeout=20_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_cited_link_leads_back(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic)
    page.locator(BOXES).first.click()
    page.wait_for_url("**edit=**", timeout=20_000)
    traffic.settle()
    sentence = page.get_by_role("heading", level=2).first.inner_text()
    made = edit(page)
    page.get_by_role("tab", name="Save and share").click()
    link = page.get_by_text(re.compile(r"^http://localhost:\d+/\?v=1&source=")).first
    expect(link).to_be_visible(timeout=60_000)
    cited = link.inner_text()
    assert cited.startswith(address) and f"edit={made}" in cited
    with page.expect_download() as waited:
        page.get_by_role("button", name="Picture (SVG)").click()
    drawn = waited.value.path().read_text("utf-8")
    # A long sentence stands there in several lines.
    words = " ".join(re.sub(r"<[^>]+>", " ", drawn).split())
    assert drawn.startswith("<svg") and sentence.split(";")[0] in words
    page.goto(cited)
    traffic.settle(at_least=1)
    assert page.get_by_role("heading", level=2).first.inner_text() == sentence
