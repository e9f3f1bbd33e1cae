"""A click leads to its place once: the page comes to rest there, and Back leads to where it was."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

FEW = 2
"""Runs of the script a click may take: one that is told where to go, one that draws it."""

ARRIVES = 60_000
"""Milliseconds in which the address says where a click or Back led to."""


def opened(address: str, page: Page, traffic: Traffic, name: str) -> None:
    """A page of the navigation bar, at rest."""
    page.goto(address)
    expect(page.get_by_role("heading", level=2).first).to_be_visible(timeout=FIRST_START)
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(f"**/{name.lower()}?*source=Bangkok*", timeout=FIRST_START)
    traffic.settle()


def searched(page: Page, traffic: Traffic, text: str) -> None:
    search = page.get_by_role("textbox", name="Search")
    search.fill(text)
    search.press("Enter")
    expect(page.get_by_text("token by token: the deeper")).to_be_visible(timeout=60_000)
    traffic.settle()


def where(url: str) -> dict[str, str]:
    """What an address says: its query, and its path as ``path``."""
    parts = urlsplit(url)
    return {"path": parts.path} | {name: value for name, (value,) in parse_qs(parts.query).items()}


def query(page: Page) -> dict[str, str]:
    place = where(page.url)
    del place["path"]
    return place


def path(page: Page) -> str:
    return where(page.url)["path"]


def cell(table: Locator, row: int, heading: str) -> str:
    """What a table's cell says; rows count from 0."""
    table.scroll_into_view_if_needed()
    expect(table.locator("canvas th").filter(has_text=heading)).to_have_count(1)
    # An arrow stands before the heading that the table is sorted by.
    headings = [text.lstrip("↑↓ ") for text in table.locator("canvas th").all_text_contents()]
    cells = table.locator(f"canvas tr[aria-rowindex='{row + 2}'] td").all_text_contents()
    return dict(zip(headings, cells, strict=True))[heading]


def click_row(table: Locator, row: int) -> None:
    """Choose a row by the box to its left."""
    expect(table.locator(f"canvas tr[aria-rowindex='{row + 2}']")).to_be_attached()
    table.click(position={"x": 15, "y": 35 * (row + 1) + 18})


def node(page: Page, kind: str, number: int) -> Locator:
    """A node of the graph."""
    named = f"name: {'#' if kind == 'latent' else 'meta-latent '}{number} "
    return page.locator(f"path[aria-label*='kind: {kind};'][aria-label*='{named}']").first


def goes_once(page: Page, traffic: Traffic, click: Callable[[], None], **leads_to: str) -> None:
    """A click leads to a place and rests there, Back to where it was, and the click there again.

    Args:
        leads_to: what the address then says; ``path`` for the page's.
    """
    left, place = path(page), query(page)
    # Streamlit puts another page's query under this one's path first, and the browser keeps that.
    same = leads_to.get("path", left) == left
    kept = {name: value for name, value in place.items() if name not in leads_to}
    paths: list[str] = []
    page.on("framenavigated", lambda frame: paths.append(where(frame.url)["path"]))
    for _ in range(2):
        paths.clear()
        click()
        page.wait_for_url(lambda url: leads_to.items() <= where(url).items(), timeout=ARRIVES)
        runs = traffic.settle(at_least=1)
        assert leads_to.items() <= where(page.url).items()
        assert set(paths) <= {left, path(page)}
        assert runs <= FEW
        paths.clear()
        page.go_back()
        page.wait_for_url(lambda url: where(url)["path"] == left, timeout=ARRIVES)
        runs = traffic.settle(at_least=1)
        assert path(page) == left
        if same:
            assert query(page) == place
        assert kept.items() <= query(page).items()
        assert set(paths) == {left}
        assert runs <= FEW
    assert traffic.settle(quiet=1.5) == 0
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_search_hit(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Latents")
    searched(page, traffic, "She flew to Paris")
    fires = page.get_by_test_id("stDataFrame").first
    latent = cell(fires, 2, "latent")
    assert "latent" not in query(page)
    goes_once(page, traffic, lambda: click_row(fires, 2), latent=latent)


def test_a_row_of_the_meta_latents(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Meta-latents")
    metas = page.get_by_test_id("stDataFrame").last
    meta = cell(metas, 1, "meta-latent")
    goes_once(page, traffic, lambda: click_row(metas, 1), meta=meta)


def test_a_list_that_was_sorted_stays_so(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Meta-latents")
    metas = page.get_by_test_id("stDataFrame").last
    first = cell(metas, 0, "meta-latent")
    size = metas.bounding_box()
    assert size is not None
    page.mouse.click(size["x"] + 80, size["y"] + 18)
    expect(metas.locator("canvas tr[aria-rowindex='2'] td").first).to_have_text("0")
    assert first != "0"
    click_row(metas, 3)
    traffic.settle(at_least=1)
    assert query(page)["meta"] == "3" == cell(metas, 3, "meta-latent")
    click_row(metas, 3)
    traffic.settle(at_least=1)
    click_row(metas, 5)
    traffic.settle(at_least=1)
    assert query(page)["meta"] == "5"


@pytest.mark.parametrize(
    ("kind", "number", "leads_to"),
    [
        ("latent", 8976, {"latent": "8976"}),
        ("meta-latent", 277, {"path": "/meta-latents", "meta": "277"}),
    ],
)
def test_a_node_of_the_graph(
    kind: str, number: int, leads_to: dict[str, str], address: str, page: Page, traffic: Traffic
) -> None:
    opened(address, page, traffic, "Graph")
    goes_once(page, traffic, lambda: node(page, kind, number).click(force=True), **leads_to)


def unfolded(page: Page, title: str) -> Locator:
    """The table below a title that unfolds it."""
    table = page.get_by_test_id("stExpander").filter(has_text=title).get_by_test_id("stDataFrame")
    if not table.is_visible():
        page.get_by_text(title).click()
    expect(table.locator("canvas").first).to_be_visible()
    return table


def test_a_row_of_the_graphs_table(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Graph")
    title = "The same as a table"
    nodes = unfolded(page, title)
    assert cell(nodes, 11, "kind") == "latent"
    latent = cell(nodes, 11, "number")
    goes_once(page, traffic, lambda: click_row(unfolded(page, title), 11), latent=latent)


def bar(page: Page, name: str, place: int) -> tuple[Locator, str]:
    """A bar of a picture by its place among those called so, and the number behind the name."""
    found = page.locator(f"path[aria-label^='{name}']").nth(place)
    found.scroll_into_view_if_needed()
    label = found.get_attribute("aria-label")
    assert label is not None
    return found, label.removeprefix(name).split(" ")[0].split(":")[0]


def test_the_way_from_a_latent_to_a_piece_and_on(
    address: str, page: Page, traffic: Traffic
) -> None:
    opened(address, page, traffic, "Latents")
    _, meta = bar(page, "meta-latent ", 0)

    def piece() -> None:
        bar(page, "meta-latent ", 0)[0].click(force=True)

    goes_once(page, traffic, piece, path="/meta-latents", meta=meta)
    piece()
    page.wait_for_url("**/meta-latents?*", timeout=ARRIVES)
    traffic.settle(at_least=1)
    _, latent = bar(page, "#", 1)
    goes_once(
        page, traffic, lambda: bar(page, "#", 1)[0].click(force=True),
        path="/latents", latent=latent,
    )  # fmt: skip


def test_a_token_of_a_sentence(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Latents")
    searched(page, traffic, "She flew to Paris")
    token = page.get_by_role("button", name="Paris", exact=True)
    background = token.evaluate("one => getComputedStyle(one).backgroundColor")
    assert background not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    goes_once(page, traffic, token.click, token="4")


def test_another_page_is_shown_from_its_top(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Latents")
    main = page.get_by_test_id("stMain")
    main.evaluate("one => one.scrollTo(0, one.scrollHeight)")
    assert main.evaluate("one => one.scrollTop") > 200
    page.get_by_role("button", name="Open on Steer").click()
    page.wait_for_url("**source=%23*", timeout=ARRIVES)
    traffic.settle(at_least=1)
    assert main.evaluate("one => one.scrollTop") == 0
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()


@pytest.mark.parametrize(
    ("button", "leads_to"),
    [
        ("Show its graph", {"path": "/graph", "latent": "4688"}),
        ("Open on Steer", {"path": "/", "source": "#4688"}),
        ("Any latent", {"path": "/latents"}),
    ],
)
def test_a_button_of_a_latent(
    button: str, leads_to: dict[str, str], address: str, page: Page, traffic: Traffic
) -> None:
    opened(address, page, traffic, "Latents")
    goes_once(page, traffic, page.get_by_role("button", name=button).click, **leads_to)


def test_the_choice_of_a_width(address: str, page: Page, traffic: Traffic) -> None:
    opened(address, page, traffic, "Latents")

    def choose() -> None:
        page.get_by_role("combobox", name="SAE", exact=True).click()
        page.get_by_role("option", name="576 latents", exact=True).click()

    goes_once(page, traffic, choose, width="576")
