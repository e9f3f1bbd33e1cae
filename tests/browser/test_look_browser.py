"""What lies beside the page or above it: the side bar, menus, the ring around a field."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.scanning import findings
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER


def opened(address: str, page: Page, traffic: Traffic, more: str = "") -> None:
    page.goto(f"{address}/?v=1&source=Tokyo&target=Paris{more}")
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    traffic.settle(at_least=1)


def edges(one: Locator) -> tuple[float, float, float, float]:
    """Where it begins and ends, across and down."""
    box = one.bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"], box["y"], box["y"] + box["height"]


def test_the_foot_stands_beside_the_side_bar(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic)
    foot, bar = page.locator(".st-key-open-line"), page.get_by_test_id("stSidebar")
    assert edges(foot)[:2] == (0, 1280)
    page.get_by_test_id("stExpandSidebarButton").click()
    expect(bar.get_by_text("What is open")).to_be_in_viewport(ratio=1)
    page.wait_for_timeout(1000)  # it slides
    assert edges(foot)[:2] == (pytest.approx(edges(bar)[1], abs=2), 1280)


@pytest.mark.parametrize("width", [400, 1280])
def test_a_menu_can_be_read(width: int, address: str, page: Page, traffic: Traffic) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(address, page, traffic, "&edit=swap")
    page.get_by_role("button", name="Options").click()
    traffic.settle(at_least=1)
    menu = page.get_by_test_id("stPopoverBody")
    left, right, top, bottom = edges(menu)
    assert left >= 0 and right <= width and top >= 0 and bottom <= 800 and bottom - top > 300
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)


def test_a_field_one_chooses_from_has_one_ring(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic)
    page.locator(".st-key-pick-source input").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    rings = page.evaluate(
        "[...document.querySelectorAll('.st-key-pick-source *')].filter("
        " one => getComputedStyle(one).outlineStyle !== 'none').map(one => one.role || one.tagName)"
    )
    assert rings == ["group"]
