"""A server opened to others, as a guest meets it: the door, then every page, which says what isn't
offered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.measuring import cut_off, tab_to
from tests.browser.scanning import findings
from tests.browser.serving import serving
from tests.browser.watching import BROWSER, FIRST_START, Traffic
from workbench.allowed import PASSWORD, READ_ONLY, Right, refusal

pytestmark = BROWSER

OFFERED_NOT = {
    "Studies": Right.STUDIES,
    "RAVEL": Right.STUDIES,
    "Train": Right.TRAINING,
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[str]:
    """The address of a server with a password, whose visitors are guests."""
    log = tmp_path_factory.mktemp("opened") / "log.txt"
    variables = {PASSWORD: "open sesame", READ_ONLY: "1"}
    with serving(cache, log, variables=variables) as server:
        yield server.address
    assert "Traceback" not in log.read_text()


def test_a_guest_comes_in_by_keyboard_and_is_told_what_is_not_offered(
    opened: str, page: Page, traffic: Traffic
) -> None:
    page.goto(opened)
    typed = page.get_by_role("textbox", name="Password")
    expect(typed).to_be_visible(timeout=FIRST_START)
    traffic.settle()
    assert findings(page) == cut_off(page) == []
    tab_to(page, typed)
    page.keyboard.type("open barley")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("stAlert")).to_contain_text("isn't the password", timeout=20_000)
    expect(page.get_by_role("link", name="Train", exact=True)).to_have_count(0)
    typed.fill("open sesame")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    traffic.settle(at_least=1)
    for name, right in OFFERED_NOT.items():
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_text(refusal(right)).first).to_be_visible(timeout=60_000)
        traffic.settle(at_least=1)
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 800})
            traffic.settle()
            assert findings(page) == cut_off(page) == []
        page.set_viewport_size({"width": 1280, "height": 900})
        expect(page.get_by_role("button", name="Ask it")).to_have_count(0)
        expect(page.get_by_role("button", name="Run", exact=True)).to_have_count(0)
        expect(page.get_by_role("button", name="Train", exact=True)).to_have_count(0)
