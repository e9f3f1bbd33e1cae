"""Files are downloaded, opened, and hold what the page shows."""

import ast
import json
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import networkx as nx
import pandas as pd
from playwright.sync_api import Page, expect

from tests.browser.watching import BROWSER, FIRST_START, Traffic

pytestmark = BROWSER

SOON = 20_000


def downloaded(page: Page, name: str) -> tuple[str, bytes]:
    """The name a button's file has, and what is in it."""
    with page.expect_download() as waited:
        page.get_by_role("button", name=name, exact=True).click()
    return waited.value.suggested_filename, Path(waited.value.path()).read_bytes()


def opened(address: str, page: Page, name: str, shown: str) -> None:
    """A page of the navigation bar."""
    page.goto(address)
    page.get_by_role("link", name=name, exact=True).click(timeout=FIRST_START)
    expect(page.get_by_text(shown).first).to_be_visible(timeout=FIRST_START)


def test_an_edit_is_taken_home_and_brought_back(
    address: str, page: Page, traffic: Traffic, tmp_path: Path
) -> None:
    asked = "ask=In+{city}+they+say&answers=%3D1%2B1"
    page.goto(f"{address}/?v=1&source=Tokyo&target=Paris&edit=swap&{asked}")
    heading = page.get_by_role("heading", level=2).first
    expect(heading).to_be_visible(timeout=FIRST_START)
    traffic.settle()
    sentence, there = heading.inner_text(), parse_qs(urlsplit(page.url).query)
    page.get_by_role("tab", name="Save and share").click()
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=SOON)
    called, content = downloaded(page, "CSV")
    table = pd.read_csv(BytesIO(content))
    assert called == "Tokyo-Paris.csv" and set(table["edit"]) == {"swap"}
    assert list(table["answer"])[-1] == "'=1+1"  # a text in any spreadsheet
    assert table["logprob"].dtype == float and (table["logprob"] < 0).all()
    code = downloaded(page, "Python")[1].decode()
    ast.parse(code)
    drawing = ElementTree.fromstring(downloaded(page, "Picture (SVG)")[1])
    assert drawing.tag.endswith("svg")
    called, content = downloaded(page, "JSON")
    assert json.loads(content)["sentence"].startswith(sentence)
    file = tmp_path / called
    file.write_bytes(content)
    # Brought back where something else is on screen.
    page.goto(f"{address}/?v=1&source=Bangkok&target=Madrid")
    traffic.settle(at_least=1)
    page.get_by_role("tab", name="Save and share").click()
    page.locator("input[type=file]").set_input_files(file)
    page.wait_for_url("**edit=swap**", timeout=SOON)
    expect(heading).to_have_text(sentence, timeout=SOON)
    assert parse_qs(urlsplit(page.url).query) == there


def test_a_graph_in_three_formats(address: str, page: Page) -> None:
    opened(address, page, "Graph", "The same as a table")
    shown = page.get_by_test_id("stVegaLiteChart").first.locator("path[aria-label*='kind: ']")
    expect(shown.first).to_be_visible(timeout=SOON)
    graph = nx.read_graphml(BytesIO(downloaded(page, "GraphML")[1]))
    assert len(graph) >= shown.count() > 10
    kinds = set(nx.get_node_attributes(graph, "kind").values())
    assert kinds == {"latent", "meta"}
    values = json.loads(downloaded(page, "JSON")[1])
    assert len(values["nodes"]) == len(graph)
    drawing = ElementTree.fromstring(downloaded(page, "SVG")[1])
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) >= shown.count()


def test_lists_as_tables(address: str, page: Page, traffic: Traffic) -> None:
    """Below them, by us: Streamlit's own button would write a label as a formula."""
    opened(address, page, "Meta-latents", "2,304 of 2,304 meta-latents")
    traffic.settle()
    page.get_by_test_id("stDataFrame").first.hover()
    expect(page.get_by_role("button", name="Search").first).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(0)
    called, content = downloaded(page, "CSV")
    table = pd.read_csv(BytesIO(content))
    assert called == "meta-latents.csv" and sorted(table["meta-latent"]) == list(range(2304))
