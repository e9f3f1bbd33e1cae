"""The real page in a real browser: a box is toggled and the numbers on screen change."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_navigation_browser import query
from tests.browser.watching import BROWSER, FIRST_START, LOADED, Traffic
from tests.metasae.search.jobs import read_export

pytestmark = BROWSER

LOG_PROBABILITY = re.compile(r"^−?\d+\.\d\d$")
"""A number beside an answer in the picture; the axis has whole ones."""


def test_a_toggle_moves_the_numbers_and_the_link(address: str, page: Page) -> None:
    page.goto(address)
    heading = page.get_by_role("heading", level=2)
    expect(heading.first).to_be_visible(timeout=FIRST_START)
    page.wait_for_selector(LOADED, timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    picture = page.get_by_test_id("stVegaLiteChart").first
    expect(picture).to_be_visible()
    numbers = picture.locator("svg text").filter(has_text=LOG_PROBABILITY)
    expect(numbers.first).to_be_visible()
    unedited, drawn = heading.first.inner_text(), numbers.all_text_contents()

    box = page.locator("[class*='st-key-box-']").first
    box.locator("label").click()
    page.wait_for_url("**edit=**", timeout=20_000)
    page.wait_for_selector(LOADED, timeout=20_000)
    # Each is another than before: nothing else that is drawn anew changes that. There may be more
    # or fewer: what the model itself would say has a line where it is none of the answers.
    expect(numbers.first).not_to_have_text(drawn[0], timeout=20_000)
    assert not set(zip(drawn, numbers.all_text_contents(), strict=False)) & {(o, o) for o in drawn}
    edited = page.url

    page.get_by_role("button", name="Latent swap").click()
    page.wait_for_url("**edit=swap**", timeout=20_000)
    expect(heading.first).not_to_have_text(unedited, timeout=20_000)

    page.go_back()
    page.wait_for_url(edited, timeout=20_000)
    page.wait_for_selector(LOADED, timeout=20_000)
    expect(box.locator("input")).not_to_be_checked()

    page.goto(f"{address}/?v=1&source=%2099999&target=%20")
    expect(page.get_by_test_id("stAlert")).to_contain_text("There is no name", timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)

    page.goto(f"{address}/?v=1&source=Tokio&target=Paris")
    expect(page.get_by_text("did you mean Tokyo?")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_search_fills_its_cards_and_opens_an_edit(
    address: str, page: Page, tmp_path: Path
) -> None:
    # A pair of 16 combinations, which reach two patterns: the side effects take the time.
    page.goto(f"{address}/?v=1&source=Moscow&target=Tokyo")
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    page.get_by_role("link", name="Enumerate").click()
    page.get_by_role("button", name="Try all").click(timeout=60_000)
    reached = page.get_by_role("heading", name="patterns can be reached")
    expect(reached).to_be_visible(timeout=120_000)
    page.wait_for_selector(LOADED, timeout=120_000)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    for name in ("CSV", "Parquet", "JSON"):
        with page.expect_download() as waited:
            page.get_by_role("button", name=f"All combinations as {name}").click()
        file = waited.value.path().rename(tmp_path / waited.value.suggested_filename)
        table, about = read_export(file)
        assert (len(table), about["scored"]) == (16, 16)
    # The first pattern moves nothing; the second one's card leads to its edit.
    page.get_by_role("button", name="Open on Steer").nth(1).click(timeout=30_000)
    page.wait_for_url("**edit=**", timeout=30_000)
    moved = page.get_by_text(re.compile(r"\bnow\b"))
    expect(moved.first).to_be_visible(timeout=30_000)


def test_one_walks_from_a_text_to_a_latent_and_back(address: str, page: Page) -> None:
    # Not by its own address: Streamlit looks for its server below that one first, and the browser
    # complains of what it doesn't find.
    page.goto(address)
    page.get_by_role("link", name="Latents", exact=True).click(timeout=FIRST_START)
    caption = page.get_by_text("Latent 4688 of 18,432")
    expect(caption).to_be_visible(timeout=FIRST_START)
    search = page.get_by_role("textbox", name="Search")
    search.fill("#<b>321</b>")
    search.press("Enter")
    expect(page.get_by_text("token by token: the deeper")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("“#<b>321</b>”, token by token")).to_be_visible()
    page.wait_for_selector(LOADED, timeout=60_000)
    search.fill("321")
    search.press("Enter")
    expect(page.get_by_text("Latent 321 of 18,432")).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("latent=321"))
    page.wait_for_selector(LOADED, timeout=60_000)
    page.get_by_role("button", name="Show its graph").click()
    expect(page.get_by_text("The same as a table")).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("/graph.*latent=321"))
    page.wait_for_selector(LOADED, timeout=60_000)
    page.go_back()
    expect(page.get_by_text("Latent 321 of 18,432")).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_tick_draws_what_depends_on_the_edit_alone(
    address: str, page: Page, traffic: Traffic
) -> None:
    page.goto(address)
    heading = page.get_by_role("heading", level=2).first
    expect(heading).to_be_visible(timeout=FIRST_START)
    traffic.settle()
    assert b"Change what a language model believes" in traffic.drawn()
    page.locator("[class*='st-key-box-']").first.locator("label").click()
    page.wait_for_url("**edit=**", timeout=20_000)
    assert traffic.settle(at_least=1) == 1
    ticked = traffic.drawn()
    assert b"Each box is a **meta-latent**" not in ticked
    assert b"Latent swap" in ticked and b"Write both" in ticked
    # What stands on the tabs that are closed.
    closed = (b"Answers, with commas", b"Latents to edit", b"Load a downloaded", b"sparse autoenc")
    assert [words for words in closed if words in ticked] == []
    page.get_by_role("tab", name="Latents used").click()
    expect(page.get_by_text("Latents to edit").first).to_be_visible(timeout=20_000)
    traffic.settle()
    assert b"Latents to edit" in traffic.drawn()


def test_clicks_in_a_row_take_nothing_back(address: str, page: Page, traffic: Traffic) -> None:
    pair = f"{address}/?v=1&source=Tokyo&target=Paris"
    page.goto(pair)
    heading = page.get_by_role("heading", level=2).first
    expect(heading).to_be_visible(timeout=FIRST_START)
    for pause in (0, 30, 60):
        # The field and the menu it stands in are gone when the tab is clicked; the browser may
        # still tell what they showed.
        page.goto(f"{pair}&edit=swap")
        traffic.settle(at_least=1)
        page.get_by_role("button", name="Options").click()
        traffic.settle(at_least=1)
        page.locator(".st-key-option-above input").fill("2")
        page.keyboard.press("Enter")
        page.wait_for_timeout(pause)
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Save and share").click()
        traffic.settle(at_least=1, quiet=0.8)
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
        assert query(page)["edit"] == "swap~above_2"
        assert "only where it fires above 2" in page.locator(".st-key-headline").inner_text()
        # Boxes of the pair before are no choice of this one's.
        page.goto(pair)
        traffic.settle(at_least=1)
        page.get_by_role("button", name="Exchange").evaluate("one => one.click()")
        page.wait_for_timeout(pause)
        page.get_by_role("tab", name="Latents used").evaluate("one => one.click()")
        traffic.settle(at_least=1, quiet=0.8)
        assert query(page) == {"v": "1", "source": "Paris", "target": "Tokyo"}
        expect(heading).to_contain_text("Paris is unchanged")
