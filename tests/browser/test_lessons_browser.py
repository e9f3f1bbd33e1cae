"""A lesson shown to a room: turned by the keys a clicker sends, readable from afar."""

import pytest
from playwright.sync_api import Browser, Page, expect

from metasae.lessons.registry import lesson
from tests.browser.test_navigation_browser import query
from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER


def presented(address: str, page: Page, traffic: Traffic, name: str = "latent") -> None:
    page.goto(address)
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    page.get_by_role("link", name="Lessons", exact=True).click()
    card = page.locator(f".st-key-present-{name}").get_by_role("button")
    expect(card).to_be_visible(timeout=FIRST_START)
    card.click()
    page.wait_for_url("**presenting=1**", timeout=30_000)
    traffic.settle()


def test_a_clicker_turns_question_and_answer(address: str, page: Page, traffic: Traffic) -> None:
    presented(address, page, traffic)
    answer = page.locator(".st-key-answer")
    expect(answer).to_have_count(0)
    for key, step, shown in (
        ("PageDown", "1", True), ("PageDown", "2", False), ("ArrowRight", "2", True),
        ("PageUp", "2", False), ("ArrowLeft", "1", True),
    ):  # fmt: skip
        page.keyboard.press(key)
        page.wait_for_function(
            "([step, shown]) => { const said = new URL(location).searchParams;"
            " const answered = (said.get('answered') || '').split('.');"
            " return said.get('step') === step && answered.includes(step) === shown; }",
            arg=[step, shown],
            timeout=30_000,
        )
        # The first answer may have to wait for the text it is about, and the page asks for it
        # again and again meanwhile.
        expect(answer).to_have_count(1 if shown else 0, timeout=120_000)
    title = lesson("latent").steps[0].title
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "presenting" not in url, timeout=30_000)
    traffic.outlast()  # the next step is asked in advance
    # The keys are the page's own again.
    before = query(page)
    page.keyboard.press("PageDown")
    assert traffic.settle(quiet=1.0) == 0
    assert query(page) == before


def test_it_can_be_read_from_the_back_and_nothing_else_is_there(
    address: str, browser: Browser
) -> None:
    with browser.new_context(viewport={"width": 1920, "height": 1080}) as profile:
        page = profile.new_page()
        traffic = Traffic(page)
        presented(address, page, traffic)
        page.keyboard.press("PageDown")
        expect(page.locator(".st-key-answer")).to_be_visible(timeout=60_000)
        traffic.settle()
        for hidden in (".stAppHeader", ".st-key-open-line", ".st-key-head"):
            expect(page.locator(hidden).first).to_be_hidden()
        # The question's letters are at least a thirty-sixth of the screen's height high.
        line = page.locator(".st-key-asked p").evaluate(
            "one => { const range = document.createRange(); range.selectNodeContents(one);"
            " return range.getClientRects()[0].height; }"
        )
        assert line >= 1080 / 36
        # All of it is on the screen, without scrolling.
        assert (
            page.evaluate(
                "(() => { const main = document.querySelector('.stMain');"
                " return main.scrollHeight - main.clientHeight; })()"
            )
            <= 1
        )
        assert page.evaluate("document.querySelector('.stMain').scrollWidth") <= 1920


@pytest.mark.parametrize("key", ["PageDown", "ArrowLeft"])
def test_keys_typed_into_a_field_stay_there(
    key: str, address: str, page: Page, traffic: Traffic
) -> None:
    presented(address, page, traffic)
    before = query(page)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('input'), { id: 'typed' }))"
    )
    page.locator("#typed").focus()
    page.keyboard.press(key)
    assert traffic.settle(quiet=1.0) == 0
    assert query(page) == before
