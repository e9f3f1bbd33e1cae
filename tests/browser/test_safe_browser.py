"""What leaves the browser and what the server lets in: the own host, and nothing else."""

import http.client
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.watching import BROWSER, CHROMIUM, FIRST_START, Traffic
from tests.workbench.test_hostile import ALL

pytestmark = BROWSER

PAGES = (
    "", "enumerate", "latents", "meta-latents", "graph", "studies", "ravel", "train", "lessons",
)  # fmt: skip

ELSEWHERE = "workbench.example"
"""A name that another site has lead to this machine."""


@pytest.fixture
def page(direct_page: Page) -> Page:
    """Not watched for what the console says."""
    return direct_page


def visited(page: Page, traffic: Traffic, url: str) -> None:
    page.goto(url)
    expect(page.get_by_role("heading", level=1).first).to_be_visible(timeout=FIRST_START)
    traffic.settle(within=240)


def test_no_page_asks_another_host(address: str, page: Page, traffic: Traffic) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.on("websocket", lambda socket: asked.add(socket.url))
    for name in PAGES:
        visited(page, traffic, f"{address}/{name}")
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}
    assert any(url.startswith("ws:") for url in asked)  # all kinds were listened to


def test_a_hostile_link_is_text(address: str, page: Page, traffic: Traffic) -> None:
    dialogs: list[str] = []

    def closed(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", closed)
    for link in (f"latents?q={quote(ALL)}", f"?source={quote(ALL)}", f"?preset={quote(ALL)}"):
        visited(page, traffic, f"{address}/{link}")
        assert page.locator("img[src=x], a[href^='javascript:']").count() == 0
    assert dialogs == []


def test_a_name_that_leads_here_makes_a_guest(address: str, browser: Browser) -> None:
    """Another site may have its own name lead to this machine, and then is of the same origin."""
    rule = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    # The rule holds for a whole browser.
    another = browser.browser_type.launch(
        executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu", rule]
    )
    page = another.new_page()
    page.goto(f"http://{ELSEWHERE}:{urlsplit(address).port}/train")
    expect(page.get_by_text("Training isn't allowed on this server")).to_be_visible(
        timeout=FIRST_START
    )
    expect(page.get_by_role("button", name="Train", exact=True)).to_have_count(0)
    another.close()


def asked(address: str, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """What the server answers to a request that no browser of ours makes."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse()


_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_another_sites_page_gets_no_connection(address: str) -> None:
    stream = "/_stcore/stream"
    assert asked(address, "GET", stream, **_UPGRADE, Origin=address).status == 101
    foreign = asked(address, "GET", stream, **_UPGRADE, Origin="http://elsewhere.example")
    assert foreign.status == 403


def test_another_site_can_not_read_answers(address: str) -> None:
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        answer = asked(address, "GET", path, Origin="http://elsewhere.example")
        assert answer.getheader("Access-Control-Allow-Origin") in (None, address)


def test_another_site_can_not_upload(address: str) -> None:
    """A form of another site has no XSRF token."""
    path = "/_stcore/upload_file/session/file"
    assert asked(address, "PUT", path, Origin="http://elsewhere.example").status == 403
    assert asked(address, "PUT", path, X_Xsrftoken="made-up").status == 403
