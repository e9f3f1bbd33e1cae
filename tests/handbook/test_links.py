"""Links out of docs/ lead to the site's pages where it has them."""

from pathlib import Path

import pytest

from docs.handbook.links import fetched, within_site


@pytest.mark.parametrize(
    ("page", "link", "on_site"),
    [
        ("docs/method.md", "[a](numbers.md#b)", "[a](numbers.md#b)"),
        ("docs/howto/gpu.md", "[a](../speed.md)", "[a](../speed.md)"),
        ("docs/method.md", "[a](../notebooks/b.ipynb)", "[a](notebooks/b.md)"),
        ("docs/howto/gpu.md", "[a](../../NOTICE.md)", "[a](../NOTICE.md)"),
        ("NOTICE.md", "[a](docs/method.md)", "[a](method.md)"),
        ("notebooks/b.ipynb", "[a](../docs/method.md#c)", "[a](../method.md#c)"),
        ("docs/method.md", "[a](../LICENSE)", "a"),
        ("docs/method.md", "[a](../none)", "[a](../none)"),
        ("docs/method.md", "[a](https://x.org/b.md)", "[a](https://x.org/b.md)"),
        ("docs/method.md", "![a](../LICENSE)", "![a](../LICENSE)"),
        ("docs/method.md", "[a](#b)", "[a](#b)"),
    ],
)  # fmt: skip
def test_where_a_link_leads(page: str, link: str, on_site: str, tmp_path: Path) -> None:
    (tmp_path / "LICENSE").touch()
    assert within_site(f"See {link}.", page, tmp_path) == f"See {on_site}."


def test_what_a_browser_would_fetch_from_elsewhere() -> None:
    page = (
        '<a href="https://a.org">a</a><script src="b.js"></script><img src="data:x"><link '
        'rel="x" href="https://c.org/c.css"><script async src="https://d.org/d.js"></script>'
    )
    assert fetched(page) == ["https://c.org/c.css", "https://d.org/d.js"]
