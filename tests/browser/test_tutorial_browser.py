"""The tutorial in the browser can be followed: what it names is there and does its part."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.watching import BROWSER, FIRST_START, LOADED

pytestmark = BROWSER

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorials" / "browser.md").read_text("utf-8")

SOON = 30_000


def named(section: str) -> list[str]:
    """What a section of the tutorial has in bold: the controls it names, in order."""
    part = TUTORIAL.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"\*\*(.+?)\*\*", part)


def test_the_tutorial_can_be_followed(address: str, page: Page) -> None:
    (link,) = re.findall(r"http://localhost:8501(/\?\S+)", TUTORIAL)
    page.goto(address + link)
    headline = page.get_by_role("heading", level=2).first
    expect(headline).to_be_visible(timeout=FIRST_START)
    page.wait_for_selector(LOADED, timeout=60_000)
    unedited = headline.inner_text()

    undo, swap, pin, reset, unpin, best = named("Edit")
    page.locator("[class*='st-key-box-']").first.locator("label").click()
    page.wait_for_url("**edit=**", timeout=SOON)
    expect(headline).not_to_have_text(unedited, timeout=SOON)
    page.get_by_role("button", name=undo).click()
    expect(headline).to_have_text(unedited, timeout=SOON)

    page.get_by_role("button", name=swap).click()
    page.wait_for_url("**edit=swap**", timeout=SOON)
    expect(headline).not_to_have_text(unedited, timeout=SOON)
    page.get_by_role("button", name=pin, exact=True).click()
    expect(page.get_by_role("button", name=unpin)).to_be_visible(timeout=SOON)
    page.get_by_role("button", name=reset).click()
    expect(page.get_by_text(unedited).first).to_be_visible(timeout=SOON)
    page.wait_for_selector(LOADED, timeout=SOON)

    page.get_by_role("button", name=unpin).click()
    expect(page.get_by_role("button", name=pin, exact=True)).to_be_visible(timeout=SOON)
    page.get_by_text(best, exact=True).click()
    expect(page.get_by_text("everything", exact=True)).to_be_visible(timeout=120_000)

    for tab in named("Look beneath"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")

    # What an edit does elsewhere is shown of one kind of edit; the tutorial says of which.
    elsewhere = page.get_by_text("What else this edit changes")
    page.locator("[class*='st-key-box-']").first.locator("label").click()
    page.wait_for_url("**edit=**", timeout=SOON)
    page.wait_for_selector(LOADED, timeout=SOON)
    expect(elsewhere).to_have_count(0)
    (every,) = re.findall(r"choose \*(.+?)\* below the boxes", TUTORIAL)
    page.get_by_text(every, exact=True).click()
    expect(elsewhere).to_be_visible(timeout=120_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
