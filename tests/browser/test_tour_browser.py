"""Every page by its link: it fits any width, can be walked by Tab, comes back as it was."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.measuring import cut_off_at_all_widths, walk
from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

LINKS = {
    "?v=1&source=Tokyo&target=Paris&edit=swap": "Latent swap is on",
    "enumerate?v=1&source=Tokyo&target=Paris&attributes=country.currency": "Try all",
    "latents?v=1&q=She+flew+to+Paris&token=4": "Latents that fire on “Paris”",
    "latents?v=1&latent=321&width=576": "Latent 321 of 576",
    "meta-latents?v=1&meta=277": "Meta-latent 277 of 2,304",
    "graph?v=1&latent=4688%2C1838&top=3": "What they share",
    "studies?v=1&study=saebench&set=steps%3A20": "SAEBench's row",
    "ravel?v=1": "Quick: a small sample",
    "train?v=1": "What to take apart",
}
"""Links, and what each shows that another place doesn't."""


def at_rest(page: Page, traffic: Traffic, shown: str) -> None:
    expect(page.get_by_text(shown).first).to_be_visible(timeout=FIRST_START)
    traffic.settle()


@pytest.mark.parametrize("link", LINKS)
def test_a_link_shows_the_same_whole_at_any_width_and_to_the_keyboard(
    link: str, address: str, direct_page: Page
) -> None:
    page, shown = direct_page, LINKS[link]
    traffic = Traffic(page)
    page.goto(f"{address}/{link}")
    at_rest(page, traffic, shown)
    lost = [stop for stop in walk(page) if not (stop.whole or (stop.ringed and stop.seen))]
    assert lost == []
    there = page.url
    assert cut_off_at_all_widths(page, traffic) == []
    # Made anew in the other theme it is the same place.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 400, "height": 800})
    page.reload()
    at_rest(page, traffic, shown)
    assert page.url == there
    assert findings(page) == []
    expect(page.get_by_test_id("stException")).to_have_count(0)


def gone(step: Callable[[], object], there: Callable[[], bool], traffic: Traffic) -> None:
    """Go back or forward to a place: one step, or two where a page has written more into its
    address than the link that led there."""
    for _ in range(2):
        step()
        traffic.settle()
        if there():
            return
    raise AssertionError("two steps don't lead there")


def test_back_and_forward_lead_through_edits_and_pages(
    address: str, page: Page, traffic: Traffic
) -> None:
    page.goto(f"{address}/?v=1&source=Tokyo&target=Paris")
    heading = page.get_by_role("heading", level=2).first
    expect(heading).to_be_visible(timeout=FIRST_START)
    traffic.settle()
    unedited = heading.inner_text()
    page.get_by_role("button", name="Latent swap").click()
    page.wait_for_url("**edit=swap**")
    traffic.settle(at_least=1)
    edited = heading.inner_text()
    assert edited != unedited
    page.get_by_role("link", name="Graph", exact=True).click()
    expect(page.get_by_text("The same as a table")).to_be_visible(timeout=60_000)
    traffic.settle()
    gone(page.go_back, lambda: urlsplit(page.url).path == "/", traffic)
    assert "edit=swap" in page.url and heading.inner_text() == edited
    gone(page.go_back, lambda: "edit=" not in page.url, traffic)
    assert heading.inner_text() == unedited
    gone(page.go_forward, lambda: "edit=swap" in page.url, traffic)
    assert heading.inner_text() == edited
    gone(page.go_forward, lambda: urlsplit(page.url).path == "/graph", traffic)
    expect(page.get_by_text("The same as a table")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_an_edit_stays_in_its_session(address: str, browser: Browser) -> None:
    link = f"{address}/?v=1&source=Tokyo&target=Paris"
    with (
        browser.new_context() as one_profile,
        browser.new_context() as other_profile,
    ):
        one, other = one_profile.new_page(), other_profile.new_page()
        seen = {page: Traffic(page) for page in (one, other)}
        for page in (one, other):
            page.goto(link)
            at_rest(page, seen[page], "This edit: no edit")
        boxes = "[class*='st-key-box-']"
        one.locator(boxes).first.locator("label").click()
        one.wait_for_url("**edit=**")
        seen[one].settle(at_least=1)
        assert seen[other].settle() == 0 and "edit=" not in other.url
        other.get_by_role("button", name="Latent swap").click()
        other.wait_for_url("**edit=swap**")
        seen[other].settle(at_least=1)
        assert seen[one].settle() == 0
        # Whatever is drawn anew: each still has its own edit alone.
        for page, own in ((one, "This edit: without "), (other, "This edit: latent swap")):
            page.reload()
            at_rest(page, seen[page], own)
        assert "swap" not in one.url
        expect(one.get_by_role("button", name="Undo")).to_be_visible()
